/*
 * Instructions that a PV guest must not, or may, execute: one function each, and what it ends in. The C# side walks the table:
 * text, function, vector (-1: it returns; two vectors, in bits 0-7 and 8-15 with bit 16: CPUs and QEMU differ).
 */
    .set RETURNS, -1
    .set UD, 6
    .set GP, 13
    .set PF, 14
    .set GP_OR_UD, 0x10000 + (UD << 8) + GP
    .set DB_OR_UD, 0x10000 + (UD << 8) + 1
    .set SS_OR_GP, 0x10000 + (GP << 8) + 12
    .set ANYTHING, 0xfffe           /* whatever the CPU does; the machine must survive it */

    /* The body follows; the next probe, or end_probes, ends it. */
    .macro probe expected:req, text:req
    .text
    ret
778:
    .pushsection .rodata
779: .asciz "\text"
    .popsection
    .pushsection .data.probes, "aw", @progbits
    .quad 779b, 778b, \expected
    .popsection
    .endm

    .text
    .pushsection .data.probes, "aw", @progbits
    .balign 8
probes_start:
    .popsection

    probe GP, "hlt"; hlt
    probe GP, "invd"; invd
    probe RETURNS, "wbinvd"; wbinvd
    probe GP, "lgdt"; lgdt scratch(%rip)
    probe GP, "lidt"; lidt scratch(%rip)
    probe GP, "lldt"; xor %eax, %eax; lldt %ax
    probe GP, "ltr"; mov $0xe040, %eax; ltr %ax
    probe GP, "lmsw"; mov $1, %eax; lmsw %ax
    probe GP, "invlpg"; invlpg scratch(%rip)
    probe RETURNS, "clts"; clts
    probe RETURNS, "read cr0"; mov %cr0, %rax
    probe RETURNS, "write cr0 as it is"; mov %cr0, %rax; mov %rax, %cr0
    probe GP, "cr0 without paging"; mov %cr0, %rax; btr $31, %rax; mov %rax, %cr0
    probe GP, "cr0 without protection"; mov %cr0, %rax; btr $0, %rax; mov %rax, %cr0
    probe GP, "cr0 without write protection"; mov %cr0, %rax; btr $16, %rax; mov %rax, %cr0
    probe GP_OR_UD, "mov cr1"; .byte 0x0f, 0x20, 0xc8
    probe RETURNS, "read cr2"; mov %cr2, %rax
    probe RETURNS, "write cr2"; mov $0x1000, %eax; mov %rax, %cr2
    probe RETURNS, "read cr3"; mov %cr3, %rax
    probe RETURNS, "write cr3 as it is"; mov %cr3, %rax; mov %rax, %cr3
    probe GP, "cr3 without memory"; mov $0xfffff000, %eax; mov %rax, %cr3
    probe GP, "cr3 0"; xor %eax, %eax; mov %rax, %cr3
    probe RETURNS, "read cr4"; mov %cr4, %rax
    probe RETURNS, "write cr4 as it is"; mov %cr4, %rax; mov %rax, %cr4
    probe GP, "mov cr8"; mov %cr8, %rax
    probe GP, "write cr8"; xor %eax, %eax; mov %rax, %cr8
    probe RETURNS, "read dr0"; mov %dr0, %rax
    probe RETURNS, "read dr6"; mov %dr6, %rax
    probe RETURNS, "read dr7"; mov %dr7, %rax
    probe GP, "breakpoint in the hypervisor"; movabs $0xffff830000000000, %rax; mov %rax, %dr0
    probe RETURNS, "breakpoint switched off"; xor %eax, %eax; mov %rax, %dr0; mov %rax, %dr7
    probe GP, "general detect in dr7"; mov $0x2000, %eax; mov %rax, %dr7; xor %eax, %eax; mov %rax, %dr7; mov $0, %eax; hlt
    probe GP, "wrmsr EFER 0"; mov $0xc0000080, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "wrmsr STAR"; mov $0xc0000081, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "wrmsr LSTAR"; mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "wrmsr SYSENTER_EIP"; mov $0x176, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "wrmsr APIC_BASE"; mov $0x1b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "wrmsr KVM wall clock"; mov $0x4b564d00, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr
    probe GP, "rdmsr of none"; mov $0x12345678, %ecx; rdmsr
    probe GP, "FS base that is not canonical"; mov $0xc0000100, %ecx; xor %eax, %eax; mov $0x80000000, %edx; wrmsr
    probe GP, "GS base that is not canonical"; mov $0xc0000101, %ecx; xor %eax, %eax; mov $0x80000000, %edx; wrmsr
    probe GP, "kernel GS base that is not canonical"; mov $0xc0000102, %ecx; xor %eax, %eax; mov $0x80000000, %edx; wrmsr
    probe GP, "rdpmc"; xor %ecx, %ecx; rdpmc
    probe GP, "swapgs"; swapgs
    probe GP, "sysret"; sysretq
    probe GP_OR_UD, "sysexit"; sysexitq
    probe GP_OR_UD, "sysenter"; sysenter
    probe GP, "in"; in $0x70, %al
    probe GP, "out"; xor %eax, %eax; out %al, $0x80
    probe GP, "in dx"; mov $0xcf8, %edx; in %dx, %eax
    probe GP, "insb"; lea scratch(%rip), %rdi; mov $0x60, %edx; insb
    probe GP, "rep outsb"; lea scratch(%rip), %rsi; mov $0x3f8, %edx; mov $4, %ecx; rep outsb
    probe GP, "cli"; cli
    probe GP, "sti"; sti
    probe UD, "ud2"; ud2
    probe UD, "forced emulation of something else"; ud2; .ascii "xen"; nop
    probe RETURNS, "forced emulation of cpuid"; push %rbx; mov $0x40000000, %eax; ud2; .ascii "xen"; cpuid; pop %rbx
    probe 3, "int3"; int3
    probe GP, "int 0"; int $0
    probe GP, "int 2"; int $2
    probe GP, "int 8"; int $8
    probe GP, "int 14"; int $14
    probe 0x80, "int 0x80"; int $0x80
    probe 0x81, "int 0x81"; int $0x81
    probe GP, "int 0x82"; int $0x82
    probe GP, "int 255"; int $255
    probe DB_OR_UD, "icebp"; .byte 0xf1
    probe 0, "divide by zero"; xor %edx, %edx; xor %ecx, %ecx; mov $1, %eax; div %ecx
    probe UD, "vmcall"; vmcall
    probe ANYTHING, "vmmcall"; vmmcall
    probe ANYTHING, "vmrun"; vmrun
    probe ANYTHING, "vmxoff"; vmxoff
    probe ANYTHING, "stgi"; stgi
    probe ANYTHING, "skinit"; mov $0x100000, %eax; skinit
    probe ANYTHING, "monitor"; lea scratch(%rip), %rax; xor %ecx, %ecx; xor %edx, %edx; monitor
    probe ANYTHING, "mwait"; xor %ecx, %ecx; xor %eax, %eax; mwait
    probe ANYTHING, "rsm"; rsm
    probe ANYTHING, "invpcid"; xor %eax, %eax; invpcid scratch(%rip), %rax
    probe ANYTHING, "stac"; stac
    probe ANYTHING, "clac"; clac
    probe ANYTHING, "xsaves"; lea scratch(%rip), %rdi; xor %eax, %eax; xor %edx, %edx; xsaves (%rdi)
    probe ANYTHING, "lock prefix on mov"; .byte 0xf0, 0x48, 0x89, 0xc0
    probe ANYTHING, "long instruction"; .fill 15, 1, 0x66; nop
    probe GP, "far jump to the hypervisor's code"; pushq $0xe008; lea 1f(%rip), %rax; push %rax; lretq; 1: nop
    probe GP, "far return to ring 0 selector of none"; pushq $0x10; lea 1f(%rip), %rax; push %rax; lretq; 1: nop
    probe GP, "the hypervisor's data in ss"; mov $0xe010, %eax; mov %eax, %ss
    probe GP, "the hypervisor's data in ds"; mov $0xe010, %eax; mov %eax, %ds
    probe GP, "the task state in fs"; mov $0xe040, %eax; mov %eax, %fs
    probe GP, "beyond the table in es"; mov $0xfff3, %eax; mov %eax, %es
    probe ANYTHING, "LDT without one in gs"; mov $0x7, %eax; mov %eax, %gs
    probe GP, "null in ss"; xor %eax, %eax; mov %eax, %ss; .rept 4; nop; .endr; mov $0x10, %eax; mov %eax, %ss
    probe PF, "read the hypervisor's image"; movabs $0xffff82d040200000, %rax; mov (%rax), %al
    probe PF, "read the direct map"; movabs $0xffff830000000000, %rax; mov (%rax), %al
    probe PF, "read the descriptor window"; movabs $0xffff808000000000, %rax; mov (%rax), %al
    probe PF, "read device registers"; movabs $0xffff810000000000, %rax; mov (%rax), %al
    probe RETURNS, "read the machine-to-physical table"; movabs $0xffff800000000000, %rax; mov (%rax), %rax
    probe PF, "write the machine-to-physical table"; movabs $0xffff800000000000, %rax; movq $1, (%rax)
    probe PF, "run the machine-to-physical table"; movabs $0xffff800000000000, %rax; jmp *%rax
    probe PF, "run the hypervisor"; movabs $0xffff82d040200000, %rax; jmp *%rax
    probe PF, "run nothing"; movabs $0x123456000, %rax; jmp *%rax
    probe GP, "read what is not canonical"; movabs $0x8000000000000000, %rax; mov (%rax), %al
    probe SS_OR_GP, "read what is not canonical, on the stack"; push %rbp; movabs $0x8000000000000000, %rbp; mov (%rbp), %al
    probe GP, "write what is not canonical"; movabs $0x0000800000000000, %rax; mov %al, (%rax)
    probe PF, "write its own page table"; call kernel_table; movq $0, (%rax)
    probe 1, "single step"; pushfq; orl $0x100, (%rsp); popfq; nop; nop
    probe 1, "single step over a hypercall"; pushfq; orl $0x100, (%rsp); popfq; mov $17, %eax; xor %edi, %edi; syscall; nop; nop
    probe RETURNS, "hypercall with NT"; pushfq; orl $0x4000, (%rsp); popfq; mov $17, %eax; xor %edi, %edi; syscall; pushfq; andl $~0x4000, (%rsp); popfq
    probe RETURNS, "hypercall with AC"; pushfq; orl $0x40000, (%rsp); popfq; mov $17, %eax; xor %edi, %edi; syscall; pushfq; andl $~0x40000, (%rsp); popfq
    probe RETURNS, "hypercall with DF"; std; mov $17, %eax; xor %edi, %edi; syscall; cld
    probe RETURNS, "hypercall with the stack nowhere"; mov %rsp, %r12; movabs $0x8000000000000000, %rsp; mov $17, %eax; xor %edi, %edi; syscall; mov %r12, %rsp
    probe RETURNS, "hypercall with the stack in the hypervisor"; mov %rsp, %r12; movabs $0xffff82d040200000, %rsp; mov $17, %eax; xor %edi, %edi; syscall; mov %r12, %rsp
    probe RETURNS, "hypercall in the shadow of mov ss"; mov $0xe02b, %ecx; mov $17, %eax; xor %edi, %edi; mov %ecx, %ss; syscall
    probe 3, "int3 in the shadow of mov ss"; mov $0xe02b, %ecx; mov %ecx, %ss; int3
    probe 1, "single step in the shadow of mov ss"; pushfq; orl $0x100, (%rsp); mov $0xe02b, %ecx; popfq; mov %ecx, %ss; nop; nop
    probe GP, "iretq with NT"; pushfq; orl $0x4000, (%rsp); popfq; pushq $0xe02b; push %rsp; pushfq; pushq $0xe033; lea 1f(%rip), %rax; push %rax; iretq; 1: nop
    probe RETURNS, "popf with IOPL and VIF"; pushfq; orl $0x183000, (%rsp); popfq

    ret
    .pushsection .data.probes, "aw", @progbits
probes_end:
    .popsection

    .text
    .globl probes_start_address, probes_end_address
probes_start_address:
    lea probes_start(%rip), %rax
    ret
probes_end_address:
    lea probes_end(%rip), %rax
    ret

    .globl kernel_table             /* an address in the L1 table that maps this kernel */
kernel_table:
    mov kernel_table_address(%rip), %rax
    ret
    .globl set_kernel_table
set_kernel_table:
    mov %rdi, kernel_table_address(%rip)
    ret

/* ---- Entering guest user mode, or anything else that an iret_context says ------------------------------------------- */

    .globl iret_with                /* rdi: struct iret_context and what follows it; does not return by itself */
iret_with:
    mov %rdi, %rsp
    mov $23, %eax
    syscall
    ud2

    .globl fault_with_stack
fault_with_stack:
    mov %rdi, %rsp
    ud2

    .globl iret_with_address
iret_with_address:
    lea iret_with(%rip), %rax
    ret

    .macro user_code name:req
    ud2
    .globl user_\name\()_address
user_\name\()_address:
    lea user_\name(%rip), %rax
    ret
user_\name:
    .endm

    user_code syscall; mov $17, %eax; xor %edi, %edi; syscall
    user_code int80; int $0x80
    user_code int82; int $0x82
    user_code hlt; hlt
    user_code ud2; ud2
    user_code cli; cli
    user_code cr0; mov %cr0, %rax
    user_code rdmsr; mov $0xc0000100, %ecx; rdmsr
    user_code nops; nop; nop
    ud2

    .data
    .balign 64
kernel_table_address: .quad 0
scratch:            .skip 256

    .section .note.GNU-stack, "", @progbits
