/* Instructions that C# has no word for: each function is one of them, with the System V calling convention. */
    .include "layout.inc"
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
function current_cpu_block          /* the CpuBlock at the end of this CPU's region */
    mov %rsp, %rax
    and $-CPU_REGION_SIZE, %rax
    add $CPU_BLOCK_OFFSET, %rax
    ret
function io_fence
    mfence
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
function boot_l4_address
    lea boot_l4(%rip), %rax
    ret

    .section .note.GNU-stack, "", @progbits
