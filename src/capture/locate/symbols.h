#ifndef CF_LOCATE_SYMBOLS_H
#define CF_LOCATE_SYMBOLS_H

#include "capture/locate/finder.h"

/* Every table of that type (SHT_DYNSYM, SHT_SYMTAB) in e, for the code of another or the same file. */
int symbols_find(struct elf *e, const struct elf *code, uint32_t table_type, const char *method,
		 struct locate_result *out);

#endif
