"""Takes its limits off again."""

import resource

for name in ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU", "RLIMIT_CORE"):
    kind = getattr(resource, name)
    before = resource.getrlimit(kind)[1]
    try:
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError) as error:
        print("tried", name, error)
    after = resource.getrlimit(kind)[1]
    if after == resource.RLIM_INFINITY or after > before:
        print("ESCAPED: has no limit", name)
