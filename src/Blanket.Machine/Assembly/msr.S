/* Model-specific registers that may not exist: the #GP of the access is the answer. */
    .include "guarded.inc"
    .text

/* edi: index; rsi: where the value goes. Returns 1, or 0 when there is no such register. */
    .globl msr_read_guarded
msr_read_guarded:
    mov %edi, %ecx
    guarded 1f
    rdmsr
    mov %eax, (%rsi)
    mov %edx, 4(%rsi)
    mov $1, %eax
    ret
1:  xor %eax, %eax
    ret

/* edi: index; rsi: value. Returns 1, or 0 when there is no such register or it does not take the value. */
    .globl msr_write_guarded
msr_write_guarded:
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
    guarded 1f
    wrmsr
    mov $1, %eax
    ret
1:  xor %eax, %eax
    ret

    .section .note.GNU-stack, "", @progbits
