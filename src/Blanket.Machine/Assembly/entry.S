/*
 * Every way from a guest into the hypervisor and back.
 *
 * Exceptions and interrupts of a guest: the CPU switches to TSS.rsp0, which is the end of VcpuState.Registers, so its
 * frame is already in place; the rest is pushed below it. SYSCALL does not switch stacks: a stub a CPU (syscall_stub_template) finds the
 * CpuBlock. C# runs on the CPU's main stack, which starts below CpuBlock and is empty whenever the guest runs.
 */
    .include "layout.inc"
    .include "guarded.inc"

    .text

    .set BASE, VCPU_REGISTERS       /* where rsp - BASE is the VcpuState: what lies below has room for a nested fault's frame */

/* ---- Exceptions and interrupts -------------------------------------------------------------------------------- */

/* One 16-byte stub a vector: completes the frame to (error code, vector) and goes on. */
    .balign 16
    .globl exception_stubs
exception_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30) || ((vector >= 10) && (vector <= 14))
    .else
    push $0
    .endif
    movl $vector, 4(%rsp)
    .if vector == PAGE_FAULT_VECTOR
    jmp page_fault
    .else
    jmp exception_common
    .endif
    .set vector, vector + 1
    .endr

    .macro push_registers
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

    .macro pop_registers
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    .endm

/*
 * Of the vector registers compiled C# uses two (build/check-vector-registers.sh sees to it); the others stay as they are. Legacy SSE
 * leaves the upper halves alone.
 */
/* The guest's CR0.TS is set while the guest runs only: what follows uses vector registers. */
    .macro save_vector_registers state:req
    cmpb $0, VCPU_TASK_SWITCHED(\state)
    je 774f
    clts
774:
    .irp n, 0, 8
    movups %xmm\n, VCPU_XMM + \n * 16(\state)
    .endr
    .endm

    .macro restore_vector_registers state:req
    .irp n, 0, 8
    movups VCPU_XMM + \n * 16(\state), %xmm\n
    .endr
    cmpb $0, VCPU_TASK_SWITCHED(\state)
    je 775f
    mov %cr0, %rax
    or $8, %rax                     /* TS */
    mov %rax, %cr0
775:
    .endm

/* rbx := this CPU's CpuBlock, from a stack pointer inside its region */
    .macro find_cpu_block
    mov %rsp, %rbx
    and $-CPU_REGION_SIZE, %rbx
    add $CPU_BLOCK_OFFSET, %rbx
    .endm

    .balign 16
exception_common:
    testb $3, 16(%rsp)              /* CS */
    jz exception_in_hypervisor
exception_from_guest:
    push_registers
    cld
    mov VCPU_CPU - VCPU_REGISTERS(%rsp), %rbx
    lea -VCPU_REGISTERS(%rsp), %rdi
    mov %rbx, %rsp
    xor %ebp, %ebp                  /* ends stack traces */
    save_vector_registers %rdi
    mov %rsp, CPU_ABANDON_STACK(%rbx)
    call guest_exception            /* (VcpuState*) */

/* ---- Back to a guest ------------------------------------------------------------------------------------------ */

/* From the main stack of this CPU; whatever is on it is dropped. */
    .globl exit_to_guest
exit_to_guest:
    find_cpu_block
exit_with_block:
    mov %rbx, %rsp
    xor %ebp, %ebp
    cmpl $0, CPU_WORK_PENDING(%rbx)
    jne exit_work
    mov CPU_CURRENT_VCPU(%rbx), %rdi
    test %rdi, %rdi
    jz exit_work
    mov VCPU_INFO(%rdi), %rax
    cmpb $0, INFO_UPCALL_PENDING(%rax)
    jne exit_event
exit_registers:
    restore_vector_registers %rdi
    movq $0, CPU_ABANDON_STACK(%rbx)
    lea VCPU_REGISTERS(%rdi), %rsp
    cmpl $SYSCALL_ENTRY, VCPU_ENTRY_VECTOR(%rdi)
    je exit_sysret
    pop_registers
    add $8, %rsp
    .globl guest_return_iretq
guest_return_iretq:
    iretq                           /* may fault on the guest's selectors: see exception_in_hypervisor */

/* SYSRET loads RIP from rcx and RFLAGS from r11: hypercall entries only, where the guest expects both changed. */
exit_sysret:
    pop_registers
    mov VCPU_RIP - VCPU_ERROR_CODE(%rsp), %rcx
    mov VCPU_RFLAGS - VCPU_ERROR_CODE(%rsp), %r11
    mov VCPU_RSP - VCPU_ERROR_CODE(%rsp), %rsp
    sysretq

exit_work:
    movq $0, CPU_ABANDON_STACK(%rbx)    /* the machine's work: a failed check there is nobody else's fault */
    call pending_work
    find_cpu_block
    jmp exit_with_block

exit_event:
    cmpb $0, INFO_UPCALL_MASK(%rax)
    jne exit_registers
    mov %rsp, CPU_ABANDON_STACK(%rbx)
    call deliver_event_upcall       /* (VcpuState*): builds the guest's frame, masks events */
    find_cpu_block
    jmp exit_with_block

/* ---- Page faults ------------------------------------------------------------------------------------------------ */

/*
 * A page fault of a guest that is for its kernel goes there from here, as TrapDelivery.InjectPageFault would send it: with rcx, r11,
 * error code, rip, cs, rflags, rsp and ss on the kernel stack. All others are C#'s: stores to write-protected memory by the guest
 * kernel, which may be page-table entries; faults of the CPU itself on the LDT (no user bit in the error code); when work waits; when
 * the guest has registered no handler that masks events (Linux's does).
 */
    .balign 16
page_fault:                         /* rsp: error code and vector in VcpuState.Registers */
    testb $3, 16(%rsp)              /* CS */
    jz exception_in_hypervisor
    sub $(VCPU_ERROR_CODE - BASE), %rsp
    mov %rax, VCPU_RAX - BASE(%rsp)
    mov %rcx, VCPU_RCX - BASE(%rsp)
    mov %rdx, VCPU_RDX - BASE(%rsp)
    mov %r11, VCPU_R11 - BASE(%rsp)
    mov VCPU_ERROR_CODE - BASE(%rsp), %eax
    test $PAGE_FAULT_USER, %al
    jz page_fault_slow
    testb $TRAP_MASKS_EVENTS, VCPU_PAGE_FAULT_TRAP + TRAP_FLAGS - BASE(%rsp)
    jz page_fault_slow
    cmpq $0, VCPU_PAGE_FAULT_TRAP - BASE(%rsp)
    je page_fault_slow
    mov VCPU_CPU - BASE(%rsp), %rcx
    cmpl $0, CPU_WORK_PENDING(%rcx)
    jne page_fault_slow
    movzwl VCPU_CS - BASE(%rsp), %edx
    cmpb $0, VCPU_IN_KERNEL - BASE(%rsp)
    je 1f
    mov %eax, %ecx
    not %ecx
    test $(PAGE_FAULT_PRESENT | PAGE_FAULT_WRITE), %cl
    jz page_fault_slow
    and $~PAGE_FAULT_USER, %eax     /* a guest kernel believes to run in ring 0 */
    and $~3, %edx
    mov VCPU_RSP - BASE(%rsp), %rcx
    jmp 2f
1:  cmpb $0, VCPU_RUN_STATE_STALE - BASE(%rsp)
    jne page_fault_slow
    mov VCPU_KERNEL_STACK - BASE(%rsp), %rcx
2:  and $-16, %rcx
    sub $64, %rcx
    /* the frame must not touch the hypervisor's addresses */
    mov %rcx, %r11
    shr $39, %r11
    sub $((HYPERVISOR_START >> 39) & 0x1ffffff), %r11
    cmp $16, %r11
    jb page_fault_slow
    mov VCPU_CPU - BASE(%rsp), %r11
    incq CPU_EXITS + PAGE_FAULT_VECTOR * 8(%r11)
    mov VCPU_INFO - BASE(%rsp), %r11
    movzbl INFO_UPCALL_MASK(%r11), %r11d
    shl $32, %r11
    or %r11, %rdx                   /* cs and the event mask; its privilege level tells where the fault was */
    mov %cr2, %r11
    mov %r11, VCPU_CR2 - BASE(%rsp)
    test $3, %dl
    jz 3f
    mov VCPU_KERNEL_CR3 - BASE(%rsp), %r11
    mov %r11, %cr3
    swapgs
3:  guest_access_allow
    mov VCPU_RCX - BASE(%rsp), %r11
    guarded page_fault_stack_fault
    mov %r11, (%rcx)
    mov VCPU_R11 - BASE(%rsp), %r11
    guarded page_fault_stack_fault
    mov %r11, 8(%rcx)
    guarded page_fault_stack_fault
    mov %rax, 16(%rcx)
    mov VCPU_RIP - BASE(%rsp), %r11
    guarded page_fault_stack_fault
    mov %r11, 24(%rcx)
    guarded page_fault_stack_fault
    mov %rdx, 32(%rcx)
    mov VCPU_RFLAGS - BASE(%rsp), %r11
    and $~(FLAG_IF | FLAG_IOPL), %r11
    mov %rdx, %rax
    shr $32, %rax                   /* the guest's IF is its event mask */
    jnz 4f
    or $FLAG_IF, %r11
4:  guarded page_fault_stack_fault
    mov %r11, 40(%rcx)
    mov VCPU_RSP - BASE(%rsp), %r11
    guarded page_fault_stack_fault
    mov %r11, 48(%rcx)
    mov VCPU_SS - BASE(%rsp), %r11
    guarded page_fault_stack_fault
    mov %r11, 56(%rcx)
    guest_access_forbid
    movb $1, VCPU_IN_KERNEL - BASE(%rsp)
    mov VCPU_INFO - BASE(%rsp), %rax
    movb $1, INFO_UPCALL_MASK(%rax)
    mov VCPU_CR2 - BASE(%rsp), %r11
    mov %r11, INFO_CR2(%rax)
    mov VCPU_RFLAGS - BASE(%rsp), %r11
    and $~FLAGS_BOUNCE_CLEARS, %r11
    or $FLAG_IF, %r11
    mov %r11, VCPU_RFLAGS - BASE(%rsp)
    mov VCPU_PAGE_FAULT_TRAP - BASE(%rsp), %r11
    mov %r11, VCPU_RIP - BASE(%rsp)
    movzwl VCPU_PAGE_FAULT_TRAP + TRAP_SELECTOR - BASE(%rsp), %r11d
    or $3, %r11d
    mov %r11, VCPU_CS - BASE(%rsp)
    mov %rcx, VCPU_RSP - BASE(%rsp)
    movq $GUEST_DS, VCPU_SS - BASE(%rsp)
    mov VCPU_RAX - BASE(%rsp), %rax
    mov VCPU_RDX - BASE(%rsp), %rdx
    add $(VCPU_RIP - BASE), %rsp
    jmp guest_return_iretq          /* rcx and r11 are free: the frame has them */

page_fault_stack_fault:             /* as it was before; C# finds out again, and crashes the guest */
    guest_access_forbid
    test $3, %dl
    jz 1f
    mov VCPU_USER_CR3 - BASE(%rsp), %rax
    mov %rax, %cr3
    swapgs
1:  mov VCPU_CR2 - BASE(%rsp), %rax
    mov %rax, %cr2
page_fault_slow:
    mov VCPU_RAX - BASE(%rsp), %rax
    mov VCPU_RCX - BASE(%rsp), %rcx
    mov VCPU_RDX - BASE(%rsp), %rdx
    mov VCPU_R11 - BASE(%rsp), %r11
    add $(VCPU_ERROR_CODE - BASE), %rsp
    jmp exception_from_guest

/* ---- Exceptions in the hypervisor itself ----------------------------------------------------------------------- */

exception_in_hypervisor:
    push %rax
    push %rcx
    push %rdx
    mov 24 + 8(%rsp), %rax          /* RIP */
    /* An access to guest memory that may fault? */
    lea exception_table_start(%rip), %rcx
    lea exception_table_end(%rip), %rdx
1:  cmp %rdx, %rcx
    jae 2f
    cmp %rax, (%rcx)
    je 3f
    add $16, %rcx
    jmp 1b
3:  mov 8(%rcx), %rax
    mov %rax, 24 + 8(%rsp)
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

2:  lea guest_return_iretq(%rip), %rcx
    cmp %rax, %rcx
    je iret_failed
    mov 24 + 4(%rsp), %eax          /* vector */
    cmp $32, %eax
    jb 4f
    /* An interrupt while the hypervisor allows them: note the vector, go on. */
    lea cpu_halt_instruction(%rip), %rcx
    cmp %rcx, 24 + 8(%rsp)
    jne 5f
    /*
     * Between STI and HLT, where none should come (AMD APM 2, 15.21.5): L0 stopped the machine there and did not keep the interrupt shadow.
     * Going on with HLT would sleep on the work that this interrupt is about.
     */
    incq 24 + 8(%rsp)
5:  push %rbx
    find_cpu_block
    bts %rax, CPU_PENDING_VECTORS(%rbx)
    movl $1, CPU_WORK_PENDING(%rbx)
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

    /* A fault of the hypervisor: C# decides whether the handler is abandoned or the machine. */
4:  pop %rdx
    pop %rcx
    pop %rax
    push_registers
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    xor %ebp, %ebp
    call hypervisor_exception       /* (GuestRegisters*); never returns */
    ud2

/*
 * IRETQ to the guest faulted. The stack pointer is inside VcpuState, at the frame's RIP less the nested frame; general registers
 * are the guest's. Store them back where they were popped from and let C# turn the fault into one of the guest's.
 */
iret_failed:
    mov 24 + 32(%rsp), %rax         /* stack pointer at the fault: &VcpuState.Registers.Rip */
    lea -VCPU_RIP(%rax), %rax       /* VcpuState */
    mov VCPU_CPU(%rax), %rcx
    /* leave the nested frame: keep its (error code, vector) in edx:ecx later; first get off this stack */
    mov 24(%rsp), %rdx              /* error code and vector */
    mov %rdx, CPU_SCRATCH(%rcx)
    pop %rdx
    mov %rdx, CPU_SCRATCH + 200(%rcx)
    pop %rdx                        /* guest rcx */
    mov %rdx, CPU_SCRATCH + 208(%rcx)
    pop %rdx                        /* guest rax */
    mov %rcx, %rsp
    mov %rdx, VCPU_RAX(%rax)
    mov CPU_SCRATCH + 200(%rsp), %rdx
    mov %rdx, VCPU_RDX(%rax)
    mov CPU_SCRATCH + 208(%rsp), %rdx
    mov %rdx, VCPU_RCX(%rax)
    mov %r15, VCPU_R15(%rax)
    mov %r14, VCPU_R14(%rax)
    mov %r13, VCPU_R13(%rax)
    mov %r12, VCPU_R12(%rax)
    mov %rbp, VCPU_RBP(%rax)
    mov %rbx, VCPU_RBX(%rax)
    mov %r11, VCPU_R11(%rax)
    mov %r10, VCPU_R10(%rax)
    mov %r9, VCPU_R9(%rax)
    mov %r8, VCPU_R8(%rax)
    mov %rsi, VCPU_RSI(%rax)
    mov %rdi, VCPU_RDI(%rax)
    mov CPU_SCRATCH(%rsp), %rdx
    movq $0, VCPU_ERROR_CODE(%rax)  /* the entry was not a SYSCALL */
    mov %rsp, %rbx
    mov %rsp, CPU_ABANDON_STACK(%rbx)
    xor %ebp, %ebp
    mov %rax, %rdi
    mov %edx, %esi                  /* error code */
    shr $32, %rdx                   /* vector */
    save_vector_registers %rdi
    call guest_return_failed        /* (VcpuState*, error code, vector) */
    jmp exit_to_guest

/* ---- Exceptions on stacks of their own (IST) ------------------------------------------------------------------- */

/*
 * #DB can arrive between SYSCALL and the stack switch (MOV SS shadow), #DF and #MC anywhere. From a guest, the frame is copied to
 * where it would have been. A #DB of ours comes from the guest's breakpoints (on its own memory, or in a MOV SS shadow): dropped.
 */
    .macro interrupt_stack_entry name:req, vector:req, has_error:req, ignore_own=0
    .globl \name
    .balign 16
\name:
    .if \has_error == 0
    push $0
    .endif
    movl $\vector, 4(%rsp)
    testb $3, 16(%rsp)
    jz 1f
    push %rax
    push %rbx
    find_cpu_block
    mov CPU_CURRENT_VCPU(%rbx), %rbx
    .irp offset, 0, 8, 16, 24, 32, 40
    mov 16 + \offset(%rsp), %rax
    mov %rax, VCPU_ERROR_CODE + \offset(%rbx)
    .endr
    lea VCPU_ERROR_CODE(%rbx), %rbx
    mov (%rsp), %rax                /* guest rbx, for a moment where rdi will be pushed */
    mov %rax, -8(%rbx)
    mov 8(%rsp), %rax
    mov %rbx, %rsp
    mov -8(%rsp), %rbx
    jmp exception_common
1:
    .if \ignore_own
    add $8, %rsp
    iretq
    .else
    push_registers
    cld
    mov %rsp, %rdi
    xor %ebp, %ebp
    and $-16, %rsp
    call hypervisor_exception
    ud2
    .endif
    .endm

    .globl nmi_entry
    .balign 16
nmi_entry:                          /* L0's watchdogs and debuggers: nothing of ours; ignore, from anywhere, unless the machine halts */
    cmpl $0, machine_halts(%rip)
    jne 1f
    iretq
1:  cli
    hlt
    jmp 1b

    .globl halt_by_nmi
halt_by_nmi:                        /* from here on an NMI stops the CPU that gets it, for good */
    movl $1, machine_halts(%rip)
    mfence
    ret

    .bss
    .balign 4
machine_halts:
    .long 0
    .text

/* ---- SYSCALL: hypercalls from guest kernels, system calls from guest user mode --------------------------------- */

    .macro store_registers          /* rsp: VcpuState.Registers; in their order there */
    .set offset, 0
    .irp register, r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi
    mov %\register, offset(%rsp)
    .set offset, offset + 8
    .endr
    .endm

/* rsp: VcpuState.Registers, all of them stored; calls a function of C#, (VcpuState*), on the CPU's main stack, and goes back to the guest. */
    .macro enter_csharp_with_registers function
    lea -VCPU_REGISTERS(%rsp), %rdi
    mov VCPU_CPU(%rdi), %rbx
    mov %rbx, %rsp
    xor %ebp, %ebp
    save_vector_registers %rdi
    mov %rsp, CPU_ABANDON_STACK(%rbx)
    call \function
    jmp exit_to_guest
    .endm

/*
 * SYSCALL from 32-bit code, which only AMD's CPUs allow (MSR CSTAR): as syscall_entry, but C# delivers it. rcx holds the
 * 32-bit instruction pointer behind the instruction.
 */
    .globl syscall32_entry
    .balign 16
syscall32_entry:
    mov CPU_CURRENT_VCPU(%rsp), %rsp
    add $VCPU_REGISTERS, %rsp
    mov %rax, VCPU_RSP - VCPU_REGISTERS(%rsp)
    mov VCPU_CPU - VCPU_REGISTERS(%rsp), %rax
    mov CPU_SCRATCH(%rax), %rax
    mov %rcx, VCPU_RIP - VCPU_REGISTERS(%rsp)
    mov %r11, VCPU_RFLAGS - VCPU_REGISTERS(%rsp)
    store_registers
    movq $0, VCPU_ERROR_CODE - VCPU_REGISTERS(%rsp)
    movq $GUEST_CS32, VCPU_CS - VCPU_REGISTERS(%rsp)
    movq $GUEST_DS, VCPU_SS - VCPU_REGISTERS(%rsp)
    enter_csharp_with_registers guest_system_call32

/*
 * SYSENTER, which only Intel's CPUs allow in long mode: rsp is CpuBlock (MSR IA32_SYSENTER_ESP); the guest's rip, rsp, cs and ss are
 * gone, and its flags are still in force but for IF. Its user mode and its kernel know among themselves where to go on.
 */
    .globl sysenter_entry
    .balign 16
sysenter_entry:
    mov %rax, CPU_SCRATCH(%rsp)
    pushfq
    push $2
    popfq                           /* no trap after each instruction (TF), no nested task (NT), no access to guest memory (AC) */
    pop %rax
    or $FLAG_IF, %rax
    mov CPU_CURRENT_VCPU(%rsp), %rsp
    add $VCPU_REGISTERS, %rsp
    mov %rax, VCPU_RFLAGS - VCPU_REGISTERS(%rsp)
    mov VCPU_CPU - VCPU_REGISTERS(%rsp), %rax
    mov CPU_SCRATCH(%rax), %rax
    store_registers
    movq $0, VCPU_ERROR_CODE - VCPU_REGISTERS(%rsp)
    movq $0, VCPU_RIP - VCPU_REGISTERS(%rsp)
    movq $NULL_CS_RING3, VCPU_CS - VCPU_REGISTERS(%rsp)
    movq $0, VCPU_RSP - VCPU_REGISTERS(%rsp)
    movq $GUEST_DS, VCPU_SS - VCPU_REGISTERS(%rsp)
    enter_csharp_with_registers guest_sysenter

/* Room for the stubs of 128 CPUs, 64 bytes each: 64-bit at 0, 32-bit at 32. */
    .balign 64
    .globl syscall_stubs
syscall_stubs:
    .skip 128 * 64, 0xcc

/*
 * Written for every CPU by C# (CpuSetup.cs), which fills in the addresses:
 *     mov %rax, SCRATCH ; mov %rsp, %rax ; movabs $CPU_BLOCK, %rsp ; jmp syscall_entry
 */
    .globl syscall_entry
    .balign 16
syscall_entry:                      /* rsp CpuBlock, rax guest rsp, CPU_SCRATCH guest rax, rcx guest rip, r11 guest rflags */
    mov CPU_CURRENT_VCPU(%rsp), %rsp
    add $BASE, %rsp
    mov %rax, VCPU_RSP - BASE(%rsp)
    mov VCPU_CPU - BASE(%rsp), %rax
    mov CPU_SCRATCH(%rax), %rax
    mov %rcx, VCPU_RIP - BASE(%rsp)
    mov %r11, VCPU_RFLAGS - BASE(%rsp)
    cmpb $0, VCPU_IN_KERNEL - BASE(%rsp)
    je guest_system_call
    cmp $HYPERCALL_IRET, %rax
    je hypercall_iret

syscall_to_csharp:
    store_registers
    movl $0, VCPU_ERROR_CODE - BASE(%rsp)
    movl $SYSCALL_ENTRY, VCPU_ENTRY_VECTOR - BASE(%rsp)
    movq $GUEST_CS64, VCPU_CS - BASE(%rsp)
    movq $GUEST_DS, VCPU_SS - BASE(%rsp)
    enter_csharp_with_registers guest_hypercall

/*
 * A system call of guest user mode: to the guest kernel's callback, with the frame that Xen's interface promises
 * (rcx, r11, rip, cs, rflags, rsp, ss) on the kernel stack. rcx and r11 are free here.
 */
    .balign 16
guest_system_call:
    cmpq $0, VCPU_SYSCALL_CALLBACK - BASE(%rsp)
    je syscall_to_csharp            /* which injects #UD */
    cmpb $0, VCPU_RUN_STATE_STALE - BASE(%rsp)
    jne syscall_to_csharp           /* which writes the guest's run-state area first */
    mov VCPU_KERNEL_STACK - BASE(%rsp), %rcx
    and $-16, %rcx
    sub $56, %rcx
    /* the frame must not touch the hypervisor's addresses */
    mov %rcx, %r11
    shr $39, %r11
    sub $((HYPERVISOR_START >> 39) & 0x1ffffff), %r11
    cmp $16, %r11
    jb syscall_to_csharp            /* which crashes the guest */
    mov VCPU_KERNEL_CR3 - BASE(%rsp), %r11
    mov %r11, %cr3
    swapgs
    movb $1, VCPU_IN_KERNEL - BASE(%rsp)
    guest_access_allow
    mov VCPU_RIP - BASE(%rsp), %r11
    guarded system_call_stack_fault
    mov %r11, (%rcx)
    guarded system_call_stack_fault
    mov %r11, 16(%rcx)
    mov VCPU_RSP - BASE(%rsp), %r11
    guarded system_call_stack_fault
    mov %r11, 40(%rcx)
    mov VCPU_RFLAGS - BASE(%rsp), %r11
    guarded system_call_stack_fault
    mov %r11, 8(%rcx)
    guarded system_call_stack_fault
    mov %r11, 32(%rcx)
    guarded system_call_stack_fault
    movq $GUEST_CS64, 24(%rcx)
    guarded system_call_stack_fault
    movq $GUEST_DS, 48(%rcx)
    guest_access_forbid
    and $~FLAGS_BOUNCE_CLEARS, %r11
    cmpb $0, VCPU_SYSCALL_MASKS - BASE(%rsp)
    je 1f
    push %rax
    mov 8 + VCPU_INFO - BASE(%rsp), %rax
    movb $1, INFO_UPCALL_MASK(%rax)
    pop %rax
1:  mov %rcx, VCPU_RSP - BASE(%rsp)
    mov VCPU_SYSCALL_CALLBACK - BASE(%rsp), %rcx
    mov VCPU_RSP - BASE(%rsp), %rsp
    sysretq

system_call_stack_fault:            /* guest user mode again, then C# injects or crashes */
    guest_access_forbid
    movb $0, VCPU_IN_KERNEL - BASE(%rsp)
    mov VCPU_USER_CR3 - BASE(%rsp), %rcx
    mov %rcx, %cr3
    swapgs
    mov VCPU_RIP - BASE(%rsp), %rcx
    mov VCPU_RFLAGS - BASE(%rsp), %r11
    jmp syscall_to_csharp

/*
 * HYPERVISOR_iret: the guest's stack holds struct iret_context (rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
 * arch-x86/xen-x86_64.h). rax, rcx and r11 are free: they come from there.
 */
    .balign 16
hypercall_iret:
    mov VCPU_RSP - BASE(%rsp), %rcx
    mov %rcx, %r11
    shr $39, %r11
    sub $((HYPERVISOR_START >> 39) & 0x1ffffff), %r11
    cmp $16, %r11
    jb hypercall_iret_fault
    guest_access_allow
    guarded hypercall_iret_fault
    mov 40(%rcx), %rax              /* cs */
    guarded hypercall_iret_fault
    mov 32(%rcx), %r11
    mov %r11, VCPU_RIP - BASE(%rsp)
    guarded hypercall_iret_fault
    mov 56(%rcx), %r11
    mov %r11, VCPU_RSP - BASE(%rsp)
    guarded hypercall_iret_fault
    mov 64(%rcx), %r11
    or $3, %r11d
    movzwl %r11w, %r11d
    mov %r11, VCPU_SS - BASE(%rsp)
    guarded hypercall_iret_fault
    mov 0(%rcx), %r11
    mov %r11, VCPU_RAX - BASE(%rsp)
    guarded hypercall_iret_fault
    mov 8(%rcx), %r11
    mov %r11, VCPU_R11 - BASE(%rsp)
    guarded hypercall_iret_fault
    mov 16(%rcx), %r11
    mov %r11, VCPU_RCX - BASE(%rsp)
    movzwl %ax, %eax
    test $3, %eax
    jz 1f
    cmpq $0, VCPU_USER_CR3 - BASE(%rsp)
    je hypercall_iret_no_user_root
1:  guarded hypercall_iret_fault
    mov 48(%rcx), %r11              /* rflags */
    guarded hypercall_iret_fault
    mov 24(%rcx), %rcx              /* flags */
    guest_access_forbid
    test $3, %eax
    jz 2f
    /* to user mode */
    movb $0, VCPU_IN_KERNEL - BASE(%rsp)
    push %rcx
    mov 8 + VCPU_USER_CR3 - BASE(%rsp), %rcx
    mov %rcx, %cr3
    pop %rcx
    swapgs
2:  or $3, %eax
    mov %rax, VCPU_CS - BASE(%rsp)
    /* the guest's IF is its event mask */
    mov VCPU_INFO - BASE(%rsp), %rax
    test $FLAG_IF, %r11d
    setz INFO_UPCALL_MASK(%rax)
    and $~FLAGS_SANITIZED, %r11
    or $(FLAG_IF | 2), %r11
    mov %r11, VCPU_RFLAGS - BASE(%rsp)
    cmpw $1, INFO_UPCALL_PENDING(%rax)  /* pending and not masked */
    je hypercall_iret_slow
    mov VCPU_CPU - BASE(%rsp), %rax
    cmpl $0, CPU_WORK_PENDING(%rax)
    jne hypercall_iret_slow
    mov VCPU_RAX - BASE(%rsp), %rax
    test $VGCF_IN_SYSCALL, %ecx
    jz 3f
    cmpw $GUEST_CS64, VCPU_CS - BASE(%rsp)
    jne 3f
    mov VCPU_RIP - BASE(%rsp), %rcx
    mov VCPU_RFLAGS - BASE(%rsp), %r11
    push %rcx                       /* SYSRET to a non-canonical address would fault in ring 0 */
    shl $16, %rcx
    sar $16, %rcx
    cmp %rcx, (%rsp)
    pop %rcx
    jne 3f
    mov VCPU_RSP - BASE(%rsp), %rsp
    sysretq
3:  mov VCPU_RCX - BASE(%rsp), %rcx
    mov VCPU_R11 - BASE(%rsp), %r11
    add $(VCPU_RIP - BASE), %rsp
    jmp guest_return_iretq

/* Something waits (an event, work): put the registers where the general exit expects them. */
hypercall_iret_slow:
    mov %r15, VCPU_R15 - BASE(%rsp)
    mov %r14, VCPU_R14 - BASE(%rsp)
    mov %r13, VCPU_R13 - BASE(%rsp)
    mov %r12, VCPU_R12 - BASE(%rsp)
    mov %rbp, VCPU_RBP - BASE(%rsp)
    mov %rbx, VCPU_RBX - BASE(%rsp)
    mov %r10, VCPU_R10 - BASE(%rsp)
    mov %r9, VCPU_R9 - BASE(%rsp)
    mov %r8, VCPU_R8 - BASE(%rsp)
    mov %rdx, VCPU_RDX - BASE(%rsp)
    mov %rsi, VCPU_RSI - BASE(%rsp)
    mov %rdi, VCPU_RDI - BASE(%rsp)
    movq $0, VCPU_ERROR_CODE - BASE(%rsp)
    lea -BASE(%rsp), %rdi
    mov VCPU_CPU(%rdi), %rbx
    mov %rbx, %rsp
    save_vector_registers %rdi
    jmp exit_with_block

hypercall_iret_no_user_root:
hypercall_iret_fault:
    guest_access_forbid
    mov $HYPERCALL_IRET, %eax       /* C# crashes the guest: its frame cannot be read */
    jmp syscall_to_csharp

/* ---- Abandoning a handler -------------------------------------------------------------------------------------- */

/* A failed check in C# (ThrowHelper): what ran is given up; C# decides at what cost. */
    .globl abandon_handler
abandon_handler:
    find_cpu_block
    mov (%rsp), %rdi                /* where */
    mov %rbp, %rsi
    mov %rsp, %rdx
    and $-16, %rsp
    call handler_abandoned          /* (return address, frame pointer, stack pointer): returns when the guest pays */
    jmp exit_to_guest

/* C# gives up the stack it runs on, for good (hypervisor_exception while serving a guest). */
    .globl resume_exit_path
resume_exit_path:
    jmp exit_to_guest

    interrupt_stack_entry debug_entry, 1, 0, 1
    interrupt_stack_entry double_fault_entry, 8, 1
    interrupt_stack_entry machine_check_entry, 18, 0

    .section .note.GNU-stack, "", @progbits
