using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;

namespace Blanket.Machine.Tests;

/// <summary>The numbers that assembly and C# share (layout.inc) are the same on both sides.</summary>
public class LayoutTests
{
    private static readonly Dictionary<string, ulong> s_symbols = Read();

    public static TheoryData<string, ulong> Expected => new()
    {
        { "IMAGE_BASE", AddressSpace.ImageBase },
        { "DIRECT_MAP_BASE", AddressSpace.DirectMapBase },
        { "HYPERVISOR_START", AddressSpace.HypervisorStart },
        { "HYPERVISOR_END", AddressSpace.HypervisorEnd },
        { "CPU_REGION_SIZE", AddressSpace.CpuRegionSize },
        { "CPU_BLOCK_OFFSET", AddressSpace.CpuBlockOffset },
        { "CPU_CURRENT_VCPU", Offset<CpuBlock>(nameof(CpuBlock.CurrentVcpu)) },
        { "CPU_WORK_PENDING", Offset<CpuBlock>(nameof(CpuBlock.WorkPending)) },
        { "CPU_FLUSH_REQUESTED", Offset<CpuBlock>(nameof(CpuBlock.FlushRequested)) },
        { "CPU_ABANDON_STACK", Offset<CpuBlock>(nameof(CpuBlock.AbandonStack)) },
        { "CPU_SCRATCH", Offset<CpuBlock>(nameof(CpuBlock.ScratchStack)) },
        { "CPU_PENDING_VECTORS", Offset<CpuBlock>(nameof(CpuBlock.PendingVectors)) },
        { "CPU_EXITS", Offset<CpuBlock>(nameof(CpuBlock.Exits)) },
        { "VCPU_CR2", Offset<VcpuState>(nameof(VcpuState.Cr2)) },
        { "VCPU_RUN_STATE_STALE", Offset<VcpuState>(nameof(VcpuState.RunStateIsStale)) },
        { "VCPU_PAGE_FAULT_TRAP", PageFaultTrap() },
        { "TRAP_SELECTOR", Offset<GuestTrap>(nameof(GuestTrap.CodeSelector)) },
        { "TRAP_FLAGS", Offset<GuestTrap>(nameof(GuestTrap.Flags)) },
        { "VCPU_CPU", Offset<VcpuState>(nameof(VcpuState.Cpu)) },
        { "VCPU_KERNEL_CR3", Offset<VcpuState>(nameof(VcpuState.KernelCr3)) },
        { "VCPU_USER_CR3", Offset<VcpuState>(nameof(VcpuState.UserCr3)) },
        { "VCPU_INFO", Offset<VcpuState>(nameof(VcpuState.VcpuInfo)) },
        { "VCPU_KERNEL_STACK", Offset<VcpuState>(nameof(VcpuState.KernelStackPointer)) },
        { "VCPU_KERNEL_SS", Offset<VcpuState>(nameof(VcpuState.KernelStackSegment)) },
        { "VCPU_SYSCALL_CALLBACK", Offset<VcpuState>(nameof(VcpuState.SyscallCallback)) },
        { "VCPU_IN_KERNEL", Offset<VcpuState>(nameof(VcpuState.InKernel)) },
        { "VCPU_SYSCALL_MASKS", Offset<VcpuState>(nameof(VcpuState.SyscallMasksEvents)) },
        { "VCPU_TASK_SWITCHED", Offset<VcpuState>(nameof(VcpuState.TaskSwitched)) },
        { "VCPU_REGISTERS", VcpuState.RegistersOffset },
        { "VCPU_REGISTERS_END", VcpuState.RegistersEnd },
        { "VCPU_XMM", Offset<VcpuState>(nameof(VcpuState.Xmm)) },
        { "VCPU_R15", Register(nameof(GuestRegisters.R15)) },
        { "VCPU_R11", Register(nameof(GuestRegisters.R11)) },
        { "VCPU_RAX", Register(nameof(GuestRegisters.Rax)) },
        { "VCPU_RCX", Register(nameof(GuestRegisters.Rcx)) },
        { "VCPU_RDI", Register(nameof(GuestRegisters.Rdi)) },
        { "VCPU_ERROR_CODE", Register(nameof(GuestRegisters.ErrorCode)) },
        { "VCPU_ENTRY_VECTOR", Register(nameof(GuestRegisters.EntryVector)) },
        { "VCPU_RIP", Register(nameof(GuestRegisters.Rip)) },
        { "VCPU_CS", Register(nameof(GuestRegisters.Cs)) },
        { "VCPU_SAVED_MASK", Register(nameof(GuestRegisters.SavedUpcallMask)) },
        { "VCPU_RFLAGS", Register(nameof(GuestRegisters.Rflags)) },
        { "VCPU_RSP", Register(nameof(GuestRegisters.Rsp)) },
        { "VCPU_SS", Register(nameof(GuestRegisters.Ss)) },
        { "HYPERVISOR_CS", Selectors.HypervisorCode },
        { "HYPERVISOR_DS", Selectors.HypervisorData },
        { "GUEST_CS32", Selectors.GuestCode32 },
        { "GUEST_DS", Selectors.GuestData },
        { "GUEST_CS64", Selectors.GuestCode64 },
        { "TSS_SELECTOR", Selectors.TaskState },
        { "LDT_SELECTOR", Selectors.LocalTable },
        { "SYSCALL_ENTRY", GuestRegisters.SyscallEntry },
    };

    [Theory]
    [MemberData(nameof(Expected))]
    public void AssemblyAgrees(string symbol, ulong value) => Assert.Equal(value, s_symbols[symbol]);

    [Fact]
    public unsafe void SizesAreWhatAssemblyAssumes()
    {
        Assert.Equal(Cpu.PageSize << VcpuState.Order, sizeof(VcpuState));
        Assert.Equal(Cpu.PageSize, sizeof(CpuBlock));
        Assert.Equal(VcpuState.RegistersEnd - VcpuState.RegistersOffset, sizeof(GuestRegisters));
        Assert.Equal(0, VcpuState.RegistersEnd % 16);
        Assert.Equal(32, sizeof(FrameInfo));
    }

    private static ulong Offset<T>(string field) => (ulong)Marshal.OffsetOf<T>(field);

    private static unsafe ulong PageFaultTrap()
    {
        VcpuState* state = (VcpuState*)NativeMemory.AllocZeroed((nuint)sizeof(VcpuState));
        fixed (GuestTrap* trap = &state->Trap(14))
        {
            ulong offset = (ulong)trap - (ulong)state;
            NativeMemory.Free(state);
            return offset;
        }
    }

    private static ulong Register(string field) => VcpuState.RegistersOffset + Offset<GuestRegisters>(field);

    private static Dictionary<string, ulong> Read()
    {
        Dictionary<string, ulong> symbols = [];
        foreach (string line in File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "layout.inc")))
        {
            if (!line.StartsWith(".set ", StringComparison.Ordinal))
            {
                continue;
            }

            string[] parts = line[5..].Split("/*")[0].Split(',', 2);
            ulong sum = 0;
            foreach (string term in parts[1].Split(['+', '|']))
            {
                string text = term.Trim();
                sum += text.StartsWith("0x", StringComparison.Ordinal) ? ulong.Parse(text[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
                    : char.IsDigit(text[0]) ? ulong.Parse(text, CultureInfo.InvariantCulture)
                    : symbols[text];
            }

            symbols[parts[0].Trim()] = sum;
        }

        return symbols;
    }
}
