#!/usr/bin/env bash
# Fails when L1 code can allocate outside the places meant for it (docs/hacking.md, "The C# that L1 may use"):
# 'new' of a class or an array is allowed in constructors, in methods whose name starts with Create, and in the methods
# listed in build/allocation-sites.txt.
#   check-allocations.sh OBJECT ALLOWED
set -euo pipefail
object=$1
allowed=$2
offenders=$(objdump --disassemble --reloc --no-show-raw-insn --section=__managedcode "$object" | awk -v allowed="$allowed" '
    BEGIN {
        while ((getline line < allowed) > 0)
            if (line !~ /^#/ && line != "") permitted[line] = 1
    }
    /^[0-9a-f]+ <.*>:$/ { name = $2; sub(/^</, "", name); sub(/>:$/, "", name) }
    /R_X86_64_(PLT32|PC32).*RhpNew/ {
        if (name ~ /___ctor(_[0-9]+)?$/ || name ~ /__Create[A-Za-z0-9_]*$/ || name ~ /___cctor$/) next
        if (name in permitted) { used[name] = 1; next }
        if (!(name in reported)) { print "  " name; reported[name] = 1 }
    }
    END { for (entry in permitted) if (!(entry in used)) print "  unused entry of allocation-sites.txt: " entry }')
if [ -n "$offenders" ]; then
    echo "check-allocations: these methods may not allocate:" >&2
    echo "$offenders" >&2
    exit 1
fi
