/*
 * Start of a secondary CPU: from the real-mode address that the start-up interrupt names (Intel SDM vol. 3, 9.4) straight into
 * long mode on the boot page tables, then to the hypervisor's address space and the CPU's own stack. See SecondaryStart.cs.
 */
    .include "layout.inc"

    .set CR4_PAE_FXSR_XMM, 0x620    /* as in boot.S */
    .set EFER, 0xc0000080
    .set EFER_SCE_LME_NXE, 0x901
    .set CR0_PG_WP_NE_ET_MP_PE, 0x80010033

    .section .rodata
    .code16
secondary_trampoline:               /* copied to a page below 1 MiB; CS is that page, IP 0 */
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl secondary_gdt_pointer - secondary_trampoline
    movl $CR4_PAE_FXSR_XMM, %eax
    movl %eax, %cr4
    movl $(boot_l4 - IMAGE_BASE), %eax
    movl %eax, %cr3
    movl $EFER, %ecx
    rdmsr
    orl $EFER_SCE_LME_NXE, %eax
    wrmsr
    movl $CR0_PG_WP_NE_ET_MP_PE, %eax
    movl %eax, %cr0
    ljmpl $8, $(secondary_long_mode - IMAGE_BASE)
    .balign 8
secondary_gdt_pointer:
    .short 23
    .long secondary_gdt - IMAGE_BASE
secondary_trampoline_end:

    .balign 16
secondary_gdt:
    .quad 0
    .quad 0x00af9a000000ffff        /* 64-bit code */
    .quad 0x00cf92000000ffff        /* data */

    .section .text.boot, "ax", @progbits
    .code64
secondary_long_mode:                /* at its physical address */
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    movabs $1f, %rax
    jmp *%rax

    /* The APIC id: leaf 0xb has all 32 bits, leaf 1 the low eight. */
1:  xor %eax, %eax
    cpuid
    cmp $0xb, %eax
    jb 2f
    mov $0xb, %eax
    xor %ecx, %ecx
    cpuid
    test %ebx, %ebx
    jz 2f
    mov %edx, %esi
    jmp 3f
2:  mov $1, %eax
    cpuid
    shr $24, %ebx
    mov %ebx, %esi
3:  lea secondary_mailbox(%rip), %rbx
    cmp %esi, 16(%rbx)
    jne 4f
    mov 20(%rbx), %edi
    mov 8(%rbx), %rdx
    mov (%rbx), %rax
    mov %rax, %cr3
    mov %rdx, %rsp
    xor %ebp, %ebp
    call secondary_main
4:  cli
    hlt
    jmp 4b

    .text
    .globl secondary_trampoline_address
secondary_trampoline_address:
    lea secondary_trampoline(%rip), %rax
    ret
    .globl secondary_trampoline_end_address
secondary_trampoline_end_address:
    lea secondary_trampoline_end(%rip), %rax
    ret
    .globl secondary_mailbox_address
secondary_mailbox_address:
    lea secondary_mailbox(%rip), %rax
    ret

    .data
    .balign 8
secondary_mailbox:
    .quad 0                         /* CR3 */
    .quad 0                         /* stack pointer */
    .long -1                        /* APIC id that is expected */
    .long 0                         /* CPU number */

    .section .note.GNU-stack, "", @progbits
