    .text
    .globl abandon_handler
abandon_handler:
1:  cli
    hlt
    jmp 1b
    .section .note.GNU-stack, "", @progbits
