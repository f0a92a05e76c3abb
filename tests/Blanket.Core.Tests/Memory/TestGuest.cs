using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>A guest kernel as the memory hypercalls see it: a vCPU, frames, and a piece of linear memory for arguments.</summary>
internal sealed class TestGuest
{
    public const ulong ArgumentBase = 0x10_0000;
    public const ulong Flags = PageTableEntry.Present | PageTableEntry.User | PageTableEntry.Accessed;
    public const ulong WritableFlags = Flags | PageTableEntry.Writable;

    private readonly byte[] _arguments = new byte[64 * 1024];

    public TestGuest(TestMachine machine, ushort id, int frames, int vcpus = 1, ulong maximumFrames = 0)
    {
        Machine = machine;
        Domain = machine.CreateDomain(id, vcpus, maximumFrames == 0 ? (ulong)frames : maximumFrames);
        for (int i = 0; i < frames; i++)
        {
            Frames.Add(AllocateFrame());
        }

        Use(0);
    }

    /// <summary>Another hand of the same guest, for another thread.</summary>
    public TestGuest(TestGuest guest, int vcpu)
    {
        Machine = guest.Machine;
        Domain = guest.Domain;
        Frames.AddRange(guest.Frames);
        Vcpu = Domain.Vcpus[vcpu]!;
    }

    public TestMachine Machine { get; }

    public Domain Domain { get; }

    public List<ulong> Frames { get; } = [];

    public Vcpu Vcpu { get; private set; } = null!;

    /// <summary>Asked before every go of a hypercall: whether an interrupt waits.</summary>
    public Func<bool>? Preempted { get; set; }

    /// <summary>Acts as one of its vCPUs from now on.</summary>
    public void Use(int vcpu)
    {
        Vcpu = Domain.Vcpus[vcpu]!;
        GuestMemory.Simulate(ArgumentBase, _arguments);
    }

    public ulong AllocateFrame()
    {
        Assert.True(FrameOwnership.TryAllocate(Domain, out ulong frame));
        return frame;
    }

    /// <summary>Writes guest memory at a linear address among the arguments.</summary>
    public void Store<T>(ulong address, ReadOnlySpan<T> values) where T : unmanaged =>
        MemoryMarshal.AsBytes(values).CopyTo(_arguments.AsSpan((int)(address - ArgumentBase)));

    public T Load<T>(ulong address) where T : unmanaged =>
        MemoryMarshal.Read<T>(_arguments.AsSpan((int)(address - ArgumentBase)));

    /// <summary>Sets an entry directly, as a guest does in a frame that is no table yet.</summary>
    public static void Set(ulong table, int slot, ulong entry) => PhysicalMemory.FrameAs<ulong>(table)[slot] = entry;

    public static ulong Get(ulong table, int slot) => PhysicalMemory.FrameAs<ulong>(table)[slot];

    public static ulong Entry(ulong frame, ulong flags) => frame << Cpu.PageShift | flags;

    public static ulong EntryAddress(ulong table, int slot) => (table << Cpu.PageShift) + (ulong)slot * 8;

    public delegate long Handler(Vcpu caller, ref HypercallArguments arguments);

    /// <summary>Executes a hypercall as often as it asks for.</summary>
    public long Call(Handler handler, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, int maximumGoes = 100_000)
    {
        HypercallArguments arguments = new() { A1 = a1, A2 = a2, A3 = a3, A4 = a4 };
        for (int go = 0; go < maximumGoes; go++)
        {
            PendingWork.Exists = Preempted != null && Preempted();
            long result = handler(Vcpu, ref arguments);
            PendingWork.Exists = false;
            if (result != HypercallArguments.Restart)
            {
                return result;
            }
        }

        return HypercallArguments.Restart;
    }

    public long MmuUpdate(ulong pointer, ulong value, uint domains = DomainId.Self) =>
        MmuUpdate([new MmuUpdate { Pointer = pointer, Value = value }], domains);

    public long MmuUpdateOnce(ulong pointer, ulong value) =>
        MmuUpdate([new MmuUpdate { Pointer = pointer, Value = value }], maximumGoes: 1);

    public long MmuUpdate(ReadOnlySpan<MmuUpdate> requests, uint domains = DomainId.Self, ulong done = 0, int maximumGoes = 100_000)
    {
        Store(ArgumentBase, requests);
        return Call(MmuUpdateHypercall.Handle, ArgumentBase, (ulong)requests.Length, done, domains, maximumGoes);
    }

    public long Extended(uint command, ulong argument1 = 0, ulong argument2 = 0, uint domain = DomainId.Self, int maximumGoes = 100_000)
    {
        Store<MmuExtendedOperation>(ArgumentBase, [new() { Command = command, Argument1 = argument1, Argument2 = argument2 }]);
        return Call(MmuExtendedHypercall.Handle, ArgumentBase, 1, 0, domain, maximumGoes);
    }

    public long Pin(ulong frame, int level, int maximumGoes = 100_000) =>
        Extended(MmuExtendedCommand.PinL1Table + (uint)level - 1, frame, maximumGoes: maximumGoes);

    public long Unpin(ulong frame) => Extended(MmuExtendedCommand.UnpinTable, frame);

    public long UpdateVa(ulong linear, ulong entry, ulong flags = 0) =>
        Call(UpdateVaMappingHypercall.Handle, linear, entry, flags);

    public long Memory(uint command, ulong argument = ArgumentBase, ulong start = 0) =>
        Call(MemoryOperationHypercall.Handle, command | start << MemoryCommand.ExtentShift, argument);

    /// <summary>
    /// Builds, in frames that are no tables yet, a root with one table of each level below it: slot 0 of everything maps
    /// <paramref name="data"/>. The tables are frames 0 (L4) to 3 (L1).
    /// </summary>
    public void BuildTree(ulong data, ulong flags = WritableFlags)
    {
        Set(Frames[0], 0, Entry(Frames[1], WritableFlags));
        Set(Frames[1], 0, Entry(Frames[2], WritableFlags));
        Set(Frames[2], 0, Entry(Frames[3], WritableFlags));
        Set(Frames[3], 0, Entry(data, flags));
    }

    public static ulong TypeOf(ulong frame) => FrameTable.Of(frame).Type & FrameType.Mask;

    public static ulong TypeCount(ulong frame) => FrameTable.Of(frame).Type & FrameType.CountMask;

    public static ulong References(ulong frame) => FrameTable.Of(frame).Count & ReferenceCount.Mask;
}
