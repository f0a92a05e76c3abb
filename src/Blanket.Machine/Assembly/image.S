/* Link-time addresses of the image's parts (build/blanket.ld), and the region that boot code allocates from. */
    .include "layout.inc"
    .text
    .globl text_end_address
text_end_address:
    lea text_end(%rip), %rax
    ret
    .globl rodata_end_address
rodata_end_address:
    lea rodata_end(%rip), %rax
    ret
    .globl early_memory_address
early_memory_address:
    lea early_memory(%rip), %rax
    ret
    .globl early_memory_end_address
early_memory_end_address:
    lea early_memory_end(%rip), %rax
    ret

    .bss
    .balign 16
early_memory:       .skip 0x20000   /* EarlyMemory.cs */
early_memory_end:

    .section .note.GNU-stack, "", @progbits
