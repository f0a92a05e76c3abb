/* Copies between the hypervisor and the running guest's linear memory. */
    .include "guarded.inc"
    .text
    .globl guest_copy
guest_copy:                         /* rdi destination, rsi source, rdx length; returns the bytes not copied */
    mov %rdx, %rcx
    mov %edx, %edx
    shr $3, %rcx
    and $7, %edx
    guest_access_allow
    guarded 3f
    rep movsq
    mov %edx, %ecx
    guarded 4f
    rep movsb
2:  guest_access_forbid
    mov %rcx, %rax
    ret
3:  lea (%rdx, %rcx, 8), %rcx
4:  jmp 2b

    .section .note.GNU-stack, "", @progbits
