/* What the compiler calls for copies and fills, and its other run-time symbols. No vector registers: see entry.S. */
    .text
    .globl memcpy, memmove
memcpy:
memmove:                            /* rdi, rsi and rdx are the range that is left */
    mov %rdi, %rax
    cmp $32, %rdx
    ja 4f
/* At most 32 bytes: all of them are loaded before the first is stored, so the ranges may overlap. */
1:  cmp $16, %edx
    ja 3f
    cmp $8, %edx
    jb 2f
    mov (%rsi), %r8
    mov -8(%rsi, %rdx), %r9
    mov %r8, (%rdi)
    mov %r9, -8(%rdi, %rdx)
    ret
2:  cmp $4, %edx
    jb 6f
    mov (%rsi), %r8d
    mov -4(%rsi, %rdx), %r9d
    mov %r8d, (%rdi)
    mov %r9d, -4(%rdi, %rdx)
    ret
3:  mov (%rsi), %r8
    mov 8(%rsi), %r9
    mov -16(%rsi, %rdx), %r10
    mov -8(%rsi, %rdx), %r11
    mov %r8, (%rdi)
    mov %r9, 8(%rdi)
    mov %r10, -16(%rdi, %rdx)
    mov %r11, -8(%rdi, %rdx)
    ret
4:  mov %rdi, %r8
    sub %rsi, %r8
    cmp %rdx, %r8                   /* destination within the source: copy backwards */
    jb 9f
/* Words rather than bytes of a string instruction: software emulation (TCG) takes those one at a time. */
5:  mov (%rsi), %r8
    mov 8(%rsi), %r9
    mov 16(%rsi), %r10
    mov 24(%rsi), %r11
    mov %r8, (%rdi)
    mov %r9, 8(%rdi)
    mov %r10, 16(%rdi)
    mov %r11, 24(%rdi)
    add $32, %rsi
    add $32, %rdi
    sub $32, %rdx
    cmp $32, %rdx
    ja 5b
    jmp 1b
6:  cmp $2, %edx
    jb 7f
    movzwl (%rsi), %r8d
    movzbl -1(%rsi, %rdx), %r9d
    mov %r8w, (%rdi)
    mov %r9b, -1(%rdi, %rdx)
    ret
7:  test %edx, %edx
    jz 8f
    mov (%rsi), %r8b
    mov %r8b, (%rdi)
8:  ret
9:  lea -1(%rdi, %rdx), %rdi
    lea -1(%rsi, %rdx), %rsi
    mov %rdx, %rcx
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
