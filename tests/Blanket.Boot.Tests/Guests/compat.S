/*
 * A 32-bit program: makes system calls by int $0x80 and by the way that the kernel offers (__kernel_vsyscall of its vDSO), with
 * flags that a hypervisor must not take over from user mode. Says which instruction the kernel offers; its exit status is 0
 * when all calls gave what they have to.
 */
    .set SYS_EXIT, 1
    .set SYS_WRITE, 4
    .set SYS_GETPID, 20
    .set SYS_MMAP2, 192
    .set AT_SYSINFO, 32
    .set ROUNDS, 1000
    .set FLAG_NT, 1 << 14
    .set FLAG_AC, 1 << 18
    .set BAD_FILE, -9               /* EBADF */

    .text
    .globl _start
_start:
    mov (%esp), %eax                /* argc, then argv, 0, environment, 0, auxiliary vector */
    lea 8(%esp, %eax, 4), %ebx
1:  mov (%ebx), %eax
    add $4, %ebx
    test %eax, %eax
    jnz 1b
2:  mov (%ebx), %eax
    mov 4(%ebx), %edi
    add $8, %ebx
    cmp $AT_SYSINFO, %eax
    je 3f
    test %eax, %eax
    jnz 2b
    mov $3, %ebx                    /* no vDSO */
    jmp exit

3:  mov %edi, vsyscall
    mov $24, %ecx                   /* what __kernel_vsyscall consists of */
4:  mov (%edi), %eax
    cmp $0x340f, %ax
    je by_sysenter
    cmp $0x050f, %ax
    je by_syscall
    inc %edi
    loop 4b
    mov $interrupt_text, %ecx
    mov $interrupt_length, %edx
    jmp say
by_sysenter:
    mov $sysenter_text, %ecx
    mov $sysenter_length, %edx
    jmp say
by_syscall:
    mov $syscall_text, %ecx
    mov $syscall_length, %edx
say:
    mov $SYS_WRITE, %eax
    mov $1, %ebx
    mov %edx, %esi
    call *vsyscall
    mov $4, %ebx
    cmp %esi, %eax                  /* all written */
    jne exit

    mov $SYS_GETPID, %eax
    int $0x80
    mov %eax, pid
    mov $ROUNDS, %esi
5:  mov $SYS_GETPID, %eax
    call *vsyscall
    mov $5, %ebx
    cmp pid, %eax
    jne exit
    dec %esi
    jnz 5b

    push $FLAG_NT | FLAG_AC | 2
    popf
    mov $SYS_GETPID, %eax
    call *vsyscall
    push $2
    popf
    mov $6, %ebx
    cmp pid, %eax
    jne exit

    /* Six arguments, of which the last one is in the register that __kernel_vsyscall needs itself. First a file that is not open. */
    mov $SYS_MMAP2, %eax
    xor %ebx, %ebx
    mov $4096, %ecx
    mov $3, %edx
    xor %esi, %esi
    mov $-1, %edi
    xor %ebp, %ebp
    call *vsyscall
    mov $7, %ebx
    cmp $BAD_FILE, %eax
    jne exit
    mov $SYS_MMAP2, %eax
    xor %ebx, %ebx
    mov $0x22, %esi                 /* MAP_PRIVATE | MAP_ANONYMOUS */
    mov $1, %ebp
    call *vsyscall
    mov $8, %ebx
    cmp $-4096, %eax
    ja exit
    movl $1, (%eax)                 /* it is there */
    mov $9, %ebx
    cmp $1, %ebp
    jne exit
    xor %ebx, %ebx
exit:
    mov $SYS_EXIT, %eax
    int $0x80

    .section .rodata
sysenter_text:
    .ascii "compat: the kernel offers sysenter\n"
    .set sysenter_length, . - sysenter_text
syscall_text:
    .ascii "compat: the kernel offers syscall\n"
    .set syscall_length, . - syscall_text
interrupt_text:
    .ascii "compat: the kernel offers int 0x80\n"
    .set interrupt_length, . - interrupt_text

    .bss
    .balign 4
vsyscall:
    .skip 4
pid:
    .skip 4

    .section .note.GNU-stack, "", @progbits
