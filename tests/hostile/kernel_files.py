"""Reads the kernel's memory and log, writes its settings, opens devices."""

import os

for path in ("/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/uinput", "/dev/kvm"):
    try:
        with open(path, "rb") as file:
            file.read(16)
            print("ESCAPED: read", path)
    except OSError as error:
        print("tried", path, error.strerror)
for path in ("/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/kernel/profiling",
             "/sys/power/state", "/sys/fs/cgroup/cgroup.procs", "/proc/sys/kernel/core_pattern"):  # fmt: skip
    try:
        os.close(os.open(path, os.O_WRONLY))
        print("ESCAPED: opened to write", path)
    except OSError as error:
        print("tried", path, error.strerror)
