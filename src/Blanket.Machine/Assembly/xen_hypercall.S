/* Calls to a Xen underneath. It fills the page with one stub of 32 bytes a call (xen/include/public/arch-x86/xen-x86_64.h). */
    .text
    .balign 4096
xen_hypercall_page:
    .fill 4096, 1, 0xcc

    .globl xen_hypercall_page_address
xen_hypercall_page_address:
    lea xen_hypercall_page(%rip), %rax
    ret

/* edi: number of the call; rsi, rdx, rcx, r8: its arguments, which Xen wants in rdi, rsi, rdx, r10. */
    .globl xen_hypercall
xen_hypercall:
    mov %edi, %eax
    shl $5, %eax
    lea xen_hypercall_page(%rip), %r11
    add %rax, %r11
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    jmp *%r11

    .section .note.GNU-stack, "", @progbits
