/* Bits and counters in memory that guests change at the same time: one locked instruction each, so no guest can make them retry. */
    .text
    .macro function name:req
    .globl \name
    .type \name, @function
\name:
    .endm

/* bool atomic_test_and_set64(ulong *word, int bit) */
function atomic_test_and_set64
    xor %eax, %eax
    and $63, %esi
    lock bts %rsi, (%rdi)
    setc %al
    ret

/* bool atomic_test_and_clear64(ulong *word, int bit) */
function atomic_test_and_clear64
    xor %eax, %eax
    and $63, %esi
    lock btr %rsi, (%rdi)
    setc %al
    ret

/* bool atomic_test_and_set32(uint *word, int bit) */
function atomic_test_and_set32
    xor %eax, %eax
    and $31, %esi
    lock bts %esi, (%rdi)
    setc %al
    ret

/* void atomic_or32(uint *word, uint bits) */
function atomic_or32
    lock or %esi, (%rdi)
    ret

/* void atomic_and32(uint *word, uint mask) */
function atomic_and32
    lock and %esi, (%rdi)
    ret

    .section .note.GNU-stack, "", @progbits
