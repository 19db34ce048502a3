"""How pip builds this package: the module and, when `make` has built it, libcontextforge.so beside it.

A backend of its own because one file has to be copied and nothing may be downloaded: the build needs Python alone, and
leaves nothing in the source tree.
"""
import base64
import hashlib
import os
import sys
import sysconfig
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(HERE, "..", "..", "build", "lib", "libcontextforge.so.0")
NAME, VERSION = "cf_observe", "0.1.0"
METADATA = """Metadata-Version: 2.1
Name: cf-observe
Version: %s
Summary: Agents say what they do, step by step: a thin layer over libcontextforge
Requires-Python: >=3.9
""" % VERSION


def _tag():
    if not os.path.exists(LIBRARY):
        return "py3-none-any"
    return "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _module_files():
    """(path in the wheel, contents)"""
    for directory, _, names in os.walk(os.path.join(HERE, NAME)):
        for name in sorted(names):
            if name.endswith((".py", ".typed")):
                path = os.path.join(directory, name)
                with open(path, "rb") as f:
                    yield os.path.relpath(path, HERE), f.read()
    if os.path.exists(LIBRARY):
        with open(LIBRARY, "rb") as f:
            yield NAME + "/libcontextforge.so", f.read()
    else:
        print("cf_observe: build/lib/libcontextforge.so is not there. Run `make` first to have it packaged; without it, "
              "the one of the system or of CONTEXTFORGE_LIBRARY is used.", file=sys.stderr)


def _write(directory, files):
    info = "%s-%s.dist-info" % (NAME, VERSION)
    tag = _tag()
    wheel = "Wheel-Version: 1.0\nGenerator: build_wheel\nRoot-Is-Purelib: %s\nTag: %s\n" % (
        str(tag.endswith("any")).lower(), tag)
    files = list(files) + [(info + "/METADATA", METADATA.encode()), (info + "/WHEEL", wheel.encode())]
    record = ""
    name = "%s-%s-%s.whl" % (NAME, VERSION, tag)
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in files:
            z.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\n" % (path, digest, len(data))
        z.writestr(info + "/RECORD", record + info + "/RECORD,,\n")
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, _module_files())


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """`pip install -e`: a path to this directory; the library is then found by CONTEXTFORGE_LIBRARY or the loader."""
    return _write(wheel_directory, [("%s.pth" % NAME, (HERE + "\n").encode())])
