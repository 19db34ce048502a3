/* A Go program in small: the function table of Go 1.20 and later, and functions as its compiler makes them. */
	.text
	.globl _start
_start:
	jmp _start
	.balign 32
runtime_text:
"runtime.text":
	.macro go_function name, size
	.type "\name", @function
	.globl "\name"
"\name":
1:	cmp 16(%r14), %rsp
	jbe 3f
	push %rbp
	mov %rsp, %rbp
	sub $\size, %rsp
	test %rcx, %rcx
	jne 2f
	add $\size, %rsp
	pop %rbp
	ret
2:	mov %rcx, %rax
	add $\size, %rsp
	pop %rbp
	ret
3:	call runtime_text
	jmp 1b
	.balign 32, 0xcc
	.endm
first:
	ret
	.balign 32, 0xcc
read:
	go_function "crypto/tls.(*Conn).Read", 0x40
write:
	go_function "crypto/tls.(*Conn).Write", 0x120
close:
	go_function "crypto/tls.(*Conn).Close", 0x18
end:

	.section .gopclntab, "a", @progbits
	.balign 32
table:
	.long 0xfffffff1
	.byte 0, 0, 1, 8
	.quad 4, 0, 0
	.quad names - table, units - table, units - table, units - table, funcs - table
names:
	.byte 0
n_first:
	.asciz "runtime.text"
n_read:
	.asciz "crypto/tls.(*Conn).Read"
n_readfrom:
	.asciz "crypto/tls.(*Conn).Readable"
n_write:
	.asciz "crypto/tls.(*Conn).Write"
n_close:
	.asciz "crypto/tls.(*Conn).Close"
units:
	.balign 8
funcs:
	.long first - runtime_text, f_first - funcs
	.long read - runtime_text, f_read - funcs
	.long write - runtime_text, f_write - funcs
	.long close - runtime_text, f_close - funcs
	.long end - runtime_text
f_first:
	.long first - runtime_text, n_first - names, 0, 0
f_read:
	.long read - runtime_text, n_read - names, 0, 0
f_write:
	.long write - runtime_text, n_write - names, 0, 0
f_close:
	.long close - runtime_text, n_close - names, 0, 0

	/* the text does not begin where the section does, so the module data must be found */
	.section .data.rel.ro, "aw", @progbits
	.balign 8
module:
	.quad table
	.zero 152
	.quad first, end, runtime_text, end

	.section .go.buildinfo, "aw", @progbits
	.balign 16
	.ascii "\377 Go buildinf:"
	.byte 8, 2
	.zero 16
	.byte 8
	.ascii "go1.26.8"
	.zero 7
