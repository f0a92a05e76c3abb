using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Emulation;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Core.Tests.Processor;
using Blanket.Machine;

namespace Blanket.Core.Tests.Emulation;

/// <summary>A guest with code and a page table that it maps read-only at <see cref="Table"/>, right behind the page of its code.</summary>
internal sealed class EmulationGuest
{
    public const ulong Code = NativeCpu.Memory;
    public const ulong Table = Code + Cpu.PageSize;

    /// <summary>Slots of the table from here on are free for tests.</summary>
    public const int FreeSlot = 0x100;

    private readonly byte[] _memory = new byte[NativeCpu.MemorySize];

    public EmulationGuest()
    {
        Machine = new TestMachine(128);
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
        Guest = new TestGuest(Machine, 1, 6);
        ulong l4 = Guest.Frames[0], l3 = Guest.Frames[1], l2 = Guest.Frames[2], l1 = Guest.Frames[3];
        TestGuest.Set(l4, (int)(Table >> 39 & 511), TestGuest.Entry(l3, TestGuest.WritableFlags));
        TestGuest.Set(l3, (int)(Table >> 30 & 511), TestGuest.Entry(l2, TestGuest.WritableFlags));
        TestGuest.Set(l2, (int)(Table >> 21 & 511), TestGuest.Entry(l1, TestGuest.WritableFlags));
        TestGuest.Set(l1, (int)(Table >> 12 & 511), TestGuest.Entry(l1, TestGuest.Flags));
        Assert.Equal(0, RootTable.Install(Vcpu, l4));
        Guest.Domain.SetVmAssist(MmuVmAssist.WritablePageTables, true);
        TableFrame = l1;
        GuestMemory.Simulate(Code, _memory);
        GuardedMsr.Simulated.Clear();
        DebugRegisters.Reset(Vcpu);
        Vcpu.State.Registers.Cs = Selector.FlatCode64;
        Vcpu.State.Registers.Rip = Code;
        Vcpu.State.Registers.Rflags = 0x202;
    }

    public TestMachine Machine { get; }

    public TestGuest Guest { get; }

    public Vcpu Vcpu => Guest.Vcpu;

    public ref GuestRegisters Registers => ref Vcpu.State.Registers;

    public ulong TableFrame { get; }

    /// <summary>The guest's memory from <see cref="Code"/> on; the table's page is a copy, see <see cref="SetTable"/>.</summary>
    public Span<byte> Memory => _memory;

    public Span<byte> TableBytes => PhysicalMemory.Frame(TableFrame);

    /// <summary>Contents of the table's free slots, in the table and where the guest reads it.</summary>
    public void SetTable(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(TableBytes[(FreeSlot * 8)..]);
        TableBytes.CopyTo(_memory.AsSpan(Cpu.PageSize));
    }

    public void SetCode(params byte[] code)
    {
        _memory.AsSpan(0, Cpu.PageSize).Clear();
        code.CopyTo(_memory, 0);
        Registers.Rip = Code;
    }

    public EmulationResult Store(ulong faultAddress, uint errorCode = 3) => PageTableStore.Emulate(Vcpu, faultAddress, errorCode);

    public EmulationResult Privileged() => PrivilegedInstruction.Emulate(Vcpu);
}
