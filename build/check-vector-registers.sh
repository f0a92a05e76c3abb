#!/usr/bin/env bash
# Fails when compiled C# uses a vector register that guest entry does not save (Blanket.Machine/Assembly/entry.S, save_vector_registers):
# it would destroy the guest's.
#   check-vector-registers.sh OBJECT
set -euo pipefail
used=$(objdump --disassemble --no-show-raw-insn --section=__managedcode "$1" | { grep -oE '%[xyz]mm[0-9]+' || true; } | sort -u)
unsaved=$(grep -vxE '%xmm0|%xmm8' <<< "$used" || true)
if [ -n "$unsaved" ]; then
    echo "check-vector-registers: compiled code uses" $unsaved "; guest entry saves %xmm0 and %xmm8 only" >&2
    exit 1
fi
