/*
 * Entry from PVH (xen/include/public/arch-x86/hvm/start_info.h) and from multiboot2 (Multiboot2 specification, 3.3),
 * both in 32-bit protected mode without paging. Builds the boot page tables, enters long mode, calls boot_main.
 */
    .include "layout.inc"


    .section .multiboot2, "a", @progbits
    .balign 8
multiboot2_header:
    .long 0xe85250d6                /* magic */
    .long 0                         /* architecture: 32-bit protected mode */
    .long multiboot2_header_end - multiboot2_header
    .long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
    .balign 8
    .short 1, 0                     /* information request: basic memory is not needed, these are */
    .long 8 + 4 * 4
    .long 1, 3, 6, 8                /* command line, modules, memory map, framebuffer absent or not */
    .balign 8
    .short 3, 0                     /* entry address */
    .long 12
    .long boot_entry_multiboot2 - IMAGE_BASE
    .balign 8
    .short 6, 1                     /* modules are page-aligned */
    .long 8
    .balign 8
    .short 0, 0
    .long 8
multiboot2_header_end:

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long boot_entry_pvh - IMAGE_BASE

    .section .text.boot, "ax", @progbits
    .code32
    .globl boot_entry_multiboot2
boot_entry_multiboot2:
    cli
    mov $BOOT_PROTOCOL_MULTIBOOT2, %edi
    jmp boot_common

    .globl boot_entry_pvh
boot_entry_pvh:
    cli
    mov $BOOT_PROTOCOL_PVH, %edi

boot_common:
    cld
    mov %ebx, %esi                  /* information structure, physical */

    /* boot_l2: 4 GiB of 2 MiB pages */
    mov $(boot_l2 - IMAGE_BASE), %ebx
    mov $0x83, %eax                 /* present, writable, 2 MiB */
    mov $2048, %ecx
1:  mov %eax, (%ebx)
    movl $0, 4(%ebx)
    add $0x200000, %eax
    add $8, %ebx
    dec %ecx
    jnz 1b

    /* boot_l3_low: the first four GiB, for the identity map and the direct map alike */
    mov $(boot_l3_low - IMAGE_BASE), %ebx
    mov $(boot_l2 - IMAGE_BASE + 3), %eax
    mov $4, %ecx
1:  mov %eax, (%ebx)
    add $0x1000, %eax
    add $8, %ebx
    dec %ecx
    jnz 1b

    /* image: the first GiB again at IMAGE_BASE */
    movl $(boot_l2 - IMAGE_BASE + 3), boot_l3_image - IMAGE_BASE + ((IMAGE_BASE >> 30) & 511) * 8
    movl $(boot_l3_low - IMAGE_BASE + 3), boot_l4 - IMAGE_BASE
    movl $(boot_l3_low - IMAGE_BASE + 3), boot_l4 - IMAGE_BASE + ((DIRECT_MAP_BASE >> 39) & 511) * 8
    movl $(boot_l3_image - IMAGE_BASE + 3), boot_l4 - IMAGE_BASE + ((IMAGE_BASE >> 39) & 511) * 8

    .globl enter_long_mode
enter_long_mode:
    mov %cr4, %eax
    or $0x620, %eax                 /* PAE, OSFXSR, OSXMMEXCPT: generated code uses xmm registers */
    mov %eax, %cr4
    mov $(boot_l4 - IMAGE_BASE), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx           /* EFER */
    rdmsr
    or $0x901, %eax                 /* SCE, LME, NXE */
    wrmsr
    mov %cr0, %eax
    and $~0x6000000c, %eax          /* not CD, NW, EM, TS */
    or $0x80010023, %eax            /* PG, WP, NE, MP, PE */
    mov %eax, %cr0
    lgdt boot_gdt_pointer - IMAGE_BASE
    ljmp $8, $(1f - IMAGE_BASE)

    .code64
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    movabs $2f, %rax
    jmp *%rax
2:  lea boot_cpu_region + CPU_BLOCK_OFFSET(%rip), %rsp
    mov %edi, %edi                  /* protocol */
    mov %esi, %esi                  /* information structure */
    xor %ebp, %ebp
    call boot_main
3:  cli
    hlt
    jmp 3b

    .section .rodata
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff        /* 64-bit code */
    .quad 0x00cf92000000ffff        /* data */
boot_gdt_pointer:
    .short 23
    .long boot_gdt - IMAGE_BASE
    .long 0

    .bss
    .balign 4096
    .globl boot_l4
boot_l4:        .skip 4096
boot_l3_low:    .skip 4096
boot_l3_image:  .skip 4096
boot_l2:        .skip 4096 * 4
    .balign CPU_REGION_SIZE
    .globl boot_cpu_region
boot_cpu_region: .skip CPU_REGION_SIZE

    .section .note.GNU-stack, "", @progbits
