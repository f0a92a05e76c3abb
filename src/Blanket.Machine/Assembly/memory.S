/* What the compiler calls for copies and fills, and its other run-time symbols. No vector registers: see entry.S. */
    .text
    .globl memcpy, memmove
memcpy:
memmove:
    mov %rdi, %rax
    mov %rdx, %rcx
    mov %rdi, %r8
    sub %rsi, %r8
    cmp %rdx, %r8                   /* destination within the source: copy backwards */
    jb 1f
    cmp $64, %rcx
    ja 3f
    mov %rcx, %rdx
    shr $3, %rcx
    jz 5f
4:  mov (%rsi), %r8
    mov %r8, (%rdi)
    add $8, %rsi
    add $8, %rdi
    dec %rcx
    jnz 4b
5:  and $7, %edx
    jz 6f
7:  mov (%rsi), %r8b
    mov %r8b, (%rdi)
    inc %rsi
    inc %rdi
    dec %edx
    jnz 7b
6:  ret
/* Words rather than bytes of a string instruction: software emulation (TCG) takes those one at a time. */
3:  mov (%rsi), %r8
    mov 8(%rsi), %r9
    mov 16(%rsi), %r10
    mov 24(%rsi), %r11
    mov %r8, (%rdi)
    mov %r9, 8(%rdi)
    mov %r10, 16(%rdi)
    mov %r11, 24(%rdi)
    add $32, %rsi
    add $32, %rdi
    sub $32, %rcx
    cmp $32, %rcx
    jae 3b
    rep movsb
    ret
1:  lea -1(%rdi, %rdx), %rdi
    lea -1(%rsi, %rdx), %rsi
    std
    rep movsb
    cld
    ret

    .globl memset
memset:                             /* by words: what is cleared is mostly whole frames; see memmove about string instructions */
    mov %rdi, %r8
    movzbl %sil, %eax
    movabs $0x0101010101010101, %rcx
    imul %rcx, %rax
    mov %rdx, %rcx
    shr $5, %rcx
    jz 2f
1:  mov %rax, (%rdi)
    mov %rax, 8(%rdi)
    mov %rax, 16(%rdi)
    mov %rax, 24(%rdi)
    add $32, %rdi
    dec %rcx
    jnz 1b
2:  mov %edx, %ecx
    and $31, %ecx
    shr $3, %ecx
    rep stosq
    mov %edx, %ecx
    and $7, %ecx
    rep stosb
    mov %r8, %rax
    ret

    .globl RhpByRefAssignRef
RhpByRefAssignRef:                  /* *rdi++ = *rsi++; rcx may be clobbered */
    mov (%rsi), %rcx
    mov %rcx, (%rdi)
    add $8, %rdi
    add $8, %rsi
    ret

    .globl RhpReversePInvoke, RhpReversePInvokeReturn
RhpReversePInvoke:
RhpReversePInvokeReturn:
    ret

    .data
    .balign 8
    .globl __security_cookie
__security_cookie: .quad 0x9e3779b97f4a7c15

    .section .note.GNU-stack, "", @progbits
