/*
 * Copies between the hypervisor and the running guest's linear memory. A fault inside is not the hypervisor's:
 * the page-fault handler looks the instruction up in .ex_table (faulting address, address to go on at).
 */
    .text
    .macro guarded to:req
    .pushsection .ex_table, "a", @progbits
    .balign 8
    .quad 9f, \to
    .popsection
9:
    .endm

    .globl guest_copy
guest_copy:                         /* rdi destination, rsi source, rdx length; returns the bytes not copied */
    mov %rdx, %rcx
    cmpb $0, smap_in_use(%rip)
    je 1f
    stac
1:  mov %ecx, %edx
    shr $3, %rcx
    and $7, %edx
    guarded 3f
    rep movsq
    mov %edx, %ecx
    guarded 4f
    rep movsb
2:  cmpb $0, smap_in_use(%rip)
    je 5f
    clac
5:  mov %rcx, %rax
    ret
3:  lea (%rdx, %rcx, 8), %rcx
4:  jmp 2b

    .data
    .globl smap_in_use
smap_in_use: .byte 0                /* 1 once CR4.SMAP is set */

    .section .note.GNU-stack, "", @progbits
