/* Entry of the kernel, its hypercalls, and its ways back from traps. Layout of a vCPU's region: Guest/VcpuRegion.cs. */
    .set REGION_SIZE,      0x10000
    .set REGION_RECOVERY,  0
    .set REGION_VECTOR,    8
    .set REGION_ERROR,     16
    .set REGION_RIP,       24
    .set REGION_RSP,       32
    .set REGION_CS,        40
    .set REGION_FLAGS,     48
    .set REGION_STACK_TOP, REGION_SIZE

    .set VECTOR_SYSCALL,   0x100
    .set VECTOR_SYSCALL32, 0x101
    .set VECTOR_FAILSAFE,  0x102

    .macro xen_note type:req, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 881f - 880f, \type
    .asciz "Xen"
880: \value
881: .balign 4
    .popsection
    .endm

    xen_note 6, .asciz "blanket-testkernel"
    xen_note 8, .asciz "generic"
    xen_note 5, .asciz "xen-3.0"
    xen_note 3, .quad 0xffffffff80000000
    xen_note 1, .quad kernel_start
    xen_note 2, .quad hypercall_page
    xen_note 10, .asciz "!writable_page_tables|pae_pgdir_above_4gb"
    xen_note 9, .asciz "yes"

    .section .hypercall_page, "ax", @progbits
    .balign 4096
hypercall_page:
    .skip 4096

    .text
    .globl read_time_stamp
read_time_stamp:
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    ret

    .globl kernel_start
kernel_start:                       /* rsi: start_info */
    cld
    lea vcpu_regions + REGION_STACK_TOP(%rip), %rsp
    mov %rsi, %rdi
    xor %ebp, %ebp
    call kernel_main
    ud2

    .globl vcpu_start               /* a secondary vCPU: rsp is the top of its region, rdi as its context says */
vcpu_start:
    cld
    xor %ebp, %ebp
    call vcpu_main
    ud2

    .globl vcpu_start_address
vcpu_start_address:
    lea vcpu_start(%rip), %rax
    ret

    .globl vcpu_regions_address
vcpu_regions_address:
    lea vcpu_regions(%rip), %rax
    ret

    .globl image_end_address
image_end_address:
    lea image_end(%rip), %rax
    ret

    .globl stack_pointer
stack_pointer:
    mov %rsp, %rax
    ret

/* long hypercall(number, a1, a2, a3, a4, a5) */
    .globl hypercall
hypercall:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    syscall
    ret

/* ---- Calls that may trap ----------------------------------------------------------------------------------------- */

/*
 * ulong guarded_call(function, a, b): the function's result; when it traps, the region says how, and the result is 0.
 */
    .globl guarded_call
guarded_call:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rbx
    dec %rbx
    and $-REGION_SIZE, %rbx
    push REGION_RECOVERY(%rbx)
    mov %rsp, REGION_RECOVERY(%rbx)
    movq $-1, REGION_VECTOR(%rbx)
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    call *%rax
guarded_return:
    cld
    pop REGION_RECOVERY(%rbx)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* Leaves the innermost guarded call with a result, from anywhere on its stack. */
    .globl leave_guarded_call
leave_guarded_call:
    mov %rdi, %rax
    mov %rsp, %rbx
    dec %rbx
    and $-REGION_SIZE, %rbx
    mov REGION_RECOVERY(%rbx), %rsp
    jmp guarded_return

/* ---- Traps --------------------------------------------------------------------------------------------------------- */

/* Xen pushes rcx and r11 below the exception's frame. One 32-byte stub a vector. */
    .balign 32
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 32
    mov (%rsp), %rcx
    mov 8(%rsp), %r11
    add $16, %rsp
    .if (vector == 8) || (vector == 17) || (vector == 21) || ((vector >= 10) && (vector <= 14))
    .else
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .globl trap_stubs_address
trap_stubs_address:
    lea trap_stubs(%rip), %rax
    ret

trap_common:                        /* vector, error code, rip, cs, rflags, rsp, ss */
    cld
    push %rbx
    lea -1(%rsp), %rbx
    and $-REGION_SIZE, %rbx
    cmpq $0, REGION_RECOVERY(%rbx)
    je trap_unexpected
    push %rax
    mov 16(%rsp), %rax
    mov %rax, REGION_VECTOR(%rbx)
    mov 24(%rsp), %rax
    mov %rax, REGION_ERROR(%rbx)
    mov 32(%rsp), %rax
    mov %rax, REGION_RIP(%rbx)
    mov 40(%rsp), %rax
    mov %rax, REGION_CS(%rbx)
    mov 48(%rsp), %rax
    mov %rax, REGION_FLAGS(%rbx)
    mov 56(%rsp), %rax
    mov %rax, REGION_RSP(%rbx)
    mov REGION_RECOVERY(%rbx), %rsp
    xor %eax, %eax
    jmp guarded_return

trap_unexpected:
    mov 8(%rsp), %rdi
    mov 16(%rsp), %rsi
    mov 24(%rsp), %rdx
    mov 48(%rsp), %rcx
    and $-16, %rsp
    call trap_fatal                 /* (vector, error, rip, rsp) */
    ud2

    .globl failsafe_entry
failsafe_entry:                     /* rcx, r11, ds, es, fs, gs, rip, cs, rflags, rsp, ss */
    xor %ecx, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    add $48, %rsp
    push $0
    push $VECTOR_FAILSAFE
    jmp trap_common

    .globl syscall_entry
syscall_entry:                      /* rcx, r11, rip, cs, rflags, rsp, ss */
    add $16, %rsp
    push $0
    push $VECTOR_SYSCALL
    jmp trap_common

    .globl syscall32_entry
syscall32_entry:
    add $16, %rsp
    push $0
    push $VECTOR_SYSCALL32
    jmp trap_common

    .globl event_entry
event_entry:                        /* rcx, r11, rip, cs, rflags, rsp, ss */
    pop %rcx
    pop %r11
    push %rax
    push %rcx
    push %r11
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %rbp
    mov %rsp, %rbp
    sub $32, %rsp
    and $-16, %rsp
    movups %xmm0, (%rsp)
    movups %xmm8, 16(%rsp)
    cld
    call event_upcall
    movups (%rsp), %xmm0
    movups 16(%rsp), %xmm8
    mov %rbp, %rsp
    pop %rbp
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r11
    pop %rcx
    pop %rax
    push $0                         /* struct iret_context: rax, r11, rcx, flags, then what is there */
    push %rcx
    push %r11
    push %rax
    mov $23, %eax
    syscall
    ud2

    .macro address_of name:req, target:req
    .globl \name
\name:
    lea \target(%rip), %rax
    ret
    .endm
    address_of failsafe_entry_address, failsafe_entry
    address_of syscall_entry_address, syscall_entry
    address_of syscall32_entry_address, syscall32_entry
    address_of event_entry_address, event_entry

/* ---- Segment registers ------------------------------------------------------------------------------------------------ */
    .irp register, ds, es, fs, gs
load_\register:
    mov %edi, %\register
    ret
    .endr

    .globl selector_loaders_address
selector_loaders_address:
    lea selector_loaders(%rip), %rax
    ret
    .pushsection .data
    .balign 8
selector_loaders: .quad load_ds, load_es, load_fs, load_gs
    .popsection

/* ---- Failed checks of C# -------------------------------------------------------------------------------------------- */
    .globl abandon_handler, RhpFallbackFailFast, RhpStackProbe
abandon_handler:
RhpFallbackFailFast:
    mov (%rsp), %rdi
    and $-16, %rsp
    call check_failed
    ud2
RhpStackProbe:
    ret

    .bss
    .balign REGION_SIZE
vcpu_regions:                       /* one a vCPU: its record at the bottom, its stack from the top */
    .skip REGION_SIZE * 8

    .section .note.GNU-stack, "", @progbits
