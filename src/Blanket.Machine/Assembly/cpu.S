/* Instructions that C# has no word for: each function is one of them, with the System V calling convention. */
    .include "layout.inc"
    .include "guarded.inc"
    .text
    .macro function name:req
    .globl \name
    .type \name, @function
\name:
    .endm

function port_read8
    mov %edi, %edx
    xor %eax, %eax
    in %dx, %al
    ret
function port_read16
    mov %edi, %edx
    xor %eax, %eax
    in %dx, %ax
    ret
function port_read32
    mov %edi, %edx
    in %dx, %eax
    ret
function port_write8
    mov %edi, %edx
    mov %esi, %eax
    out %al, %dx
    ret
function port_write16
    mov %edi, %edx
    mov %esi, %eax
    out %ax, %dx
    ret
function port_write32
    mov %edi, %edx
    mov %esi, %eax
    out %eax, %dx
    ret
function msr_read
    mov %edi, %ecx
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    ret
function msr_write
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
    wrmsr
    ret
function cpuid_read                 /* edi leaf, esi subleaf, rdx: four words out */
    push %rbx
    mov %rdx, %r8
    mov %edi, %eax
    mov %esi, %ecx
    cpuid
    mov %eax, (%r8)
    mov %ebx, 4(%r8)
    mov %ecx, 8(%r8)
    mov %edx, 12(%r8)
    pop %rbx
    ret
function tsc_read                   /* ordered after earlier loads */
    lfence
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    ret
function random_read                /* RDRAND into *rdi; returns 1, or 0 when the generator has nothing */
    mov $10, %ecx
1:  rdrand %rax
    jc 2f
    dec %ecx
    jnz 1b
    xor %eax, %eax
    ret
2:  mov %rax, (%rdi)
    mov $1, %eax
    ret
function cr0_read
    mov %cr0, %rax
    ret
function cr0_write
    mov %rdi, %cr0
    ret
function cr2_read
    mov %cr2, %rax
    ret
function cr2_write
    mov %rdi, %cr2
    ret
function cr3_read
    mov %cr3, %rax
    ret
function cr3_write
    mov %rdi, %cr3
    ret
function cr4_read
    mov %cr4, %rax
    ret
function cr4_write
    mov %rdi, %cr4
    ret
function page_invalidate
    invlpg (%rdi)
    ret
function interrupts_enable
    sti
    ret
function interrupts_disable
    cli
    ret
function interrupts_save_disable    /* returns RFLAGS */
    pushf
    pop %rax
    cli
    ret
function interrupts_restore
    test $0x200, %edi
    jz 1f
    sti
1:  ret
function interrupts_allow_pending   /* sti holds interrupts off for one more instruction */
    sti
    nop
    cli
    ret
function cpu_pause
    pause
    ret
function cpu_halt                   /* waits for the next interrupt with no window to miss one */
    sti
    .globl cpu_halt_instruction
cpu_halt_instruction:               /* one byte; an interrupt that finds it is about to be executed skips it (entry.S) */
    hlt
    cli
    ret
function cpu_stop                   /* for good */
1:  cli
    hlt
    jmp 1b
function gdt_load                   /* rdi: pointer to limit and base */
    lgdt (%rdi)
    ret
function idt_load
    lidt (%rdi)
    ret
function ldt_load
    lldt %di
    ret
function task_register_load
    ltr %di
    ret
function segments_load              /* the hypervisor's CS and SS; null data segments */
    pop %rax
    push $HYPERVISOR_CS
    push %rax
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov $HYPERVISOR_DS, %eax
    mov %eax, %ss
    lretq
function frame_pointer_read
    mov %rbp, %rax
    ret
function stack_pointer_read
    mov %rsp, %rax
    ret
function io_fence
    mfence
    ret
function swap_gs
    swapgs
    ret
function fs_selector_load           /* returns 0, or 1 when the guest's descriptor does not allow it */
    xor %eax, %eax
    guarded 1f
    mov %edi, %fs
    ret
1:  mov $1, %eax
    ret
function gs_selector_load
    xor %eax, %eax
    guarded 1f
    mov %edi, %gs
    ret
1:  mov $1, %eax
    ret
function ds_selector_load
    xor %eax, %eax
    guarded 1f
    mov %edi, %ds
    ret
1:  mov $1, %eax
    ret
function es_selector_load
    xor %eax, %eax
    guarded 1f
    mov %edi, %es
    ret
1:  mov $1, %eax
    ret
function selectors_read             /* ds, es, fs, gs: 16 bits each from the lowest */
    mov %gs, %eax
    shl $16, %rax
    mov %fs, %edx
    mov %dx, %ax
    shl $16, %rax
    mov %es, %edx
    mov %dx, %ax
    shl $16, %rax
    mov %ds, %edx
    mov %dx, %ax
    ret
function extended_control_write     /* XCR0 := rdi */
    mov %edi, %eax
    mov %rdi, %rdx
    shr $32, %rdx
    xor %ecx, %ecx
    xsetbv
    ret
/*
 * The whole vector state of a vCPU: memory to registers and back. xmm0 and xmm8 of a guest are in VCPU_XMM while C# runs.
 * rdi VcpuState, rsi its XSAVE area, rdx the components (0: FXSAVE, the CPU has no XSAVE).
 */
function vector_state_save
    .irp n, 0, 8
    movups VCPU_XMM + \n * 16(%rdi), %xmm\n
    .endr
    mov %edx, %eax
    test %rdx, %rdx
    jz 1f
    shr $32, %rdx
    xsave64 (%rsi)
    ret
1:  fxsave64 (%rsi)
    ret
function vector_state_load
    mov %edx, %eax
    test %rdx, %rdx
    jz 1f
    shr $32, %rdx
    guarded 3f
    xrstor64 (%rsi)
    jmp 2f
1:  guarded 3f
    fxrstor64 (%rsi)
2:  .irp n, 0, 8
    movups %xmm\n, VCPU_XMM + \n * 16(%rdi)
    .endr
    xor %eax, %eax
    ret
3:  mov $1, %eax
    ret
function debug_registers_load       /* rdi: DR0-DR3, then DR6, DR7 */
    xor %eax, %eax
    mov %rax, %dr7
    mov 0(%rdi), %rax
    mov %rax, %dr0
    mov 8(%rdi), %rax
    mov %rax, %dr1
    mov 16(%rdi), %rax
    mov %rax, %dr2
    mov 24(%rdi), %rax
    mov %rax, %dr3
    mov 32(%rdi), %rax
    mov %rax, %dr6
    mov 40(%rdi), %rax
    mov %rax, %dr7
    ret
function debug_control_clear
    xor %eax, %eax
    mov %rax, %dr7
    ret
function debug_status_read
    mov %dr6, %rax
    ret
/* Link-time addresses */
function image_start_address
    lea image_start(%rip), %rax
    ret
function image_end_address
    lea image_end(%rip), %rax
    ret
function modules_start_address
    lea modules_start(%rip), %rax
    ret
function modules_end_address
    lea modules_end(%rip), %rax
    ret
function smap_sites_start_address
    lea smap_sites_start(%rip), %rax
    ret
function smap_sites_end_address
    lea smap_sites_end(%rip), %rax
    ret
function syscall_stubs_address
    lea syscall_stubs(%rip), %rax
    ret
function syscall32_entry_address
    lea syscall32_entry(%rip), %rax
    ret
function sysenter_entry_address
    lea sysenter_entry(%rip), %rax
    ret
function syscall_entry_address
    lea syscall_entry(%rip), %rax
    ret
function exception_stubs_address
    lea exception_stubs(%rip), %rax
    ret
function debug_entry_address
    lea debug_entry(%rip), %rax
    ret
function nmi_entry_address
    lea nmi_entry(%rip), %rax
    ret
function double_fault_entry_address
    lea double_fault_entry(%rip), %rax
    ret
function machine_check_entry_address
    lea machine_check_entry(%rip), %rax
    ret
function boot_cpu_region_address
    lea boot_cpu_region(%rip), %rax
    ret
function boot_l4_address
    lea boot_l4(%rip), %rax
    ret

    .section .note.GNU-stack, "", @progbits
