/* Makes the CPU shut down: no interrupt descriptor table, then an exception. */
    .text
    .globl triple_fault
triple_fault:
    lidt no_interrupt_table(%rip)
    ud2

    .section .rodata
    .balign 16
no_interrupt_table:
    .short 0
    .quad 0

    .section .note.GNU-stack, "", @progbits
