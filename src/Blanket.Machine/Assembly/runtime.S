/* Run-time symbols that the compiler refers to beyond those in memory.S. */
    .text
    .globl RhpStackProbe
RhpStackProbe:                      /* frames above a page: stacks are mapped as a whole, nothing to touch */
    ret

    .globl RhpFallbackFailFast
RhpFallbackFailFast:                /* a stack buffer was overrun */
    jmp abandon_handler

    .section .note.GNU-stack, "", @progbits
