#!/usr/bin/env bash
# Fails when L1 code can allocate outside the places meant for it (docs/hacking.md, "The C# that L1 may use"):
# 'new' of a class or an array is allowed in constructors, in methods whose name starts with Create, and in the methods
# listed in build/allocation-sites.txt.
#   check-allocations.sh IMAGE ALLOWED
set -euo pipefail
image=$1
allowed=$2
offenders=$(objdump --disassemble --no-show-raw-insn --section=.text "$image" | awk -v allowed="$allowed" '
    BEGIN {
        while ((getline line < allowed) > 0)
            if (line !~ /^#/ && line != "") permitted[line] = 1
    }
    /^[0-9a-f]+ <.*>:$/ { name = $2; sub(/^</, "", name); sub(/>:$/, "", name) }
    /(call|jmp).*<(RhpNew[A-Za-z]*|Blanket_CoreLib_Internal_Runtime_Allocation__New[A-Za-z]*)>/ {
        if (name ~ /^RhpNew/) next
        if (name ~ /___ctor(_[0-9]+)?$/ || name ~ /__Create[A-Za-z0-9_]*$/ || name ~ /___cctor$/) next
        if (name in permitted) next
        if (!(name in reported)) { print "  " name; reported[name] = 1 }
    }')
if [ -n "$offenders" ]; then
    echo "check-allocations: these methods may not allocate:" >&2
    echo "$offenders" >&2
    exit 1
fi
