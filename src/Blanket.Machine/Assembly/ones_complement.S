/* The one's complement sum of RFC 1071: what C# has no word for is the addition with carry. */
    .text

/* ulong ones_complement_add(ulong sum, const byte *bytes, ulong length): adds 16-bit words as they lie, 64 bits at a time;
   an odd byte at the end is the low half of a word. Leaves rdi, rsi, rdx and rcx changed. */
    .globl ones_complement_add
    .type ones_complement_add, @function
ones_complement_add:
    mov %rdi, %rax
    mov %edx, %ecx
    and $63, %ecx                   /* bytes behind the blocks of 64 */
    shr $6, %rdx
    jz 2f
    clc
1:  adc (%rsi), %rax
    adc 8(%rsi), %rax
    adc 16(%rsi), %rax
    adc 24(%rsi), %rax
    adc 32(%rsi), %rax
    adc 40(%rsi), %rax
    adc 48(%rsi), %rax
    adc 56(%rsi), %rax
    lea 64(%rsi), %rsi              /* neither this nor dec touches the carry */
    dec %rdx
    jnz 1b
    adc $0, %rax
2:  sub $16, %ecx
    jb 4f
3:  add (%rsi), %rax
    adc 8(%rsi), %rax
    adc $0, %rax
    add $16, %rsi
    sub $16, %ecx
    jae 3b
4:  test $8, %cl                    /* the last four bits are those of the bytes left */
    jz 5f
    add (%rsi), %rax
    adc $0, %rax
    add $8, %rsi
5:  test $7, %cl
    jz 9f
    xor %edx, %edx                  /* the last 1 to 7 bytes as one word, its upper bytes 0 */
    test $1, %cl
    jz 6f
    mov %ecx, %edi
    and $6, %edi
    movzbl (%rsi, %rdi), %edx
6:  test $2, %cl
    jz 7f
    mov %ecx, %edi
    and $4, %edi
    movzwl (%rsi, %rdi), %edi
    shl $16, %rdx
    or %rdi, %rdx
7:  test $4, %cl
    jz 8f
    mov (%rsi), %edi
    shl $32, %rdx
    or %rdi, %rdx
8:  add %rdx, %rax
    adc $0, %rax
9:  ret

    .section .note.GNU-stack, "", @progbits
