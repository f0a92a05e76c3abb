using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Grants;

/// <summary>A guest kernel as the grant table hypercalls see it. Frames 0 to 3 are its page tables, which map frame 4 at 0.</summary>
internal sealed class GrantGuest
{
    public const ulong ListBase = TestGuest.ArgumentBase + 32 * 1024;
    public const int FirstData = 5;

    public GrantGuest(TestMachine machine, ushort id, int frames = 16, int maximumFrames = 4, int mapTrackFrames = 2, int version = 2)
    {
        Guest = new TestGuest(machine, id, frames, 1, (ulong)frames + 4);
        Assert.True(Domain.CreateGrantTable(maximumFrames, mapTrackFrames, version));
        Guest.BuildTree(Guest.Frames[4]);
        Assert.Equal(0, Guest.Pin(Guest.Frames[0], 4));
        Assert.Equal(0, Guest.Extended(MmuExtendedCommand.NewBasePointer, Guest.Frames[0]));
    }

    public TestGuest Guest { get; }

    public Domain Domain => Guest.Domain;

    public GrantTable Table => Domain.Grants!;

    public ulong Data(int index) => Guest.Frames[FirstData + index];

    public ulong L1Table => Guest.Frames[3];

    /// <summary>A linear address that an entry of the L1 table maps.</summary>
    public static ulong Linear(int slot) => (ulong)slot << Cpu.PageShift;

    private ref T Entry<T>(uint reference, int size, int offset) where T : unmanaged
    {
        uint perFrame = (uint)(Cpu.PageSize / size);
        return ref PhysicalMemory.At<T>(
            (Table.SharedFrame((int)(reference / perFrame)) << Cpu.PageShift) + reference % perFrame * (uint)size + (uint)offset);
    }

    public ref ushort Flags(uint reference) => ref Entry<ushort>(reference, Table.Version == 1 ? 8 : 16, 0);

    public ref ushort Grantee(uint reference) => ref Entry<ushort>(reference, Table.Version == 1 ? 8 : 16, 2);

    public ulong GrantedFrame(uint reference) => Table.Version == 1
        ? Entry<uint>(reference, 8, GrantTableEntry.FrameOffsetV1)
        : Entry<ulong>(reference, 16, GrantTableEntry.FrameOffsetV2);

    /// <summary>The reading and writing flags, wherever the version has them.</summary>
    public ushort Status(uint reference)
    {
        ushort flags = Table.Version == 1
            ? Flags(reference)
            : PhysicalMemory.Read<ushort>((Table.StatusFrame((int)reference / 2048) << Cpu.PageShift) + reference % 2048 * 2);
        return (ushort)(flags & (GrantTableFlags.Reading | GrantTableFlags.Writing));
    }

    /// <summary>Grants a frame, as a guest does: the flags go last.</summary>
    public void Grant(uint reference, ushort grantee, ulong frame, ushort extra = 0, ushort type = GrantTableFlags.PermitAccess)
    {
        if (Table.Version == 1)
        {
            Entry<uint>(reference, 8, GrantTableEntry.FrameOffsetV1) = (uint)frame;
        }
        else
        {
            Entry<ulong>(reference, 16, GrantTableEntry.FrameOffsetV2) = frame;
        }

        Grantee(reference) = grantee;
        Flags(reference) = (ushort)(type | extra);
    }

    public void GrantPart(uint reference, ushort grantee, ulong frame, ushort offset, ushort length)
    {
        Entry<ushort>(reference, 16, GrantTableEntry.PageOffsetOffset) = offset;
        Entry<ushort>(reference, 16, GrantTableEntry.LengthOffset) = length;
        Grant(reference, grantee, frame, GrantTableFlags.SubPage);
    }

    public void GrantTransitively(uint reference, ushort grantee, ushort owner, uint ownerReference)
    {
        Entry<ushort>(reference, 16, GrantTableEntry.TransitiveDomainOffset) = owner;
        Entry<uint>(reference, 16, GrantTableEntry.TransitiveReferenceOffset) = ownerReference;
        Grantee(reference) = grantee;
        Flags(reference) = GrantTableFlags.Transitive;
    }

    public long Call<T>(uint operation, T[] arguments, uint? count = null) where T : unmanaged
    {
        Guest.Use(0);
        Guest.Store<T>(TestGuest.ArgumentBase, arguments);
        long result = Guest.Call(GrantTableHypercall.Handle, operation, TestGuest.ArgumentBase, count ?? (uint)arguments.Length);
        for (int i = 0; i < arguments.Length; i++)
        {
            arguments[i] = Guest.Load<T>(TestGuest.ArgumentBase + (ulong)(i * System.Runtime.CompilerServices.Unsafe.SizeOf<T>()));
        }

        return result;
    }

    public T Call<T>(uint operation, T argument) where T : unmanaged
    {
        T[] arguments = [argument];
        Assert.Equal(0, Call(operation, arguments));
        return arguments[0];
    }

    public GrantMapArgument Map(ushort granter, uint reference, uint flags, ulong address = 0) =>
        Call(GrantTableOp.MapGrantReference, new GrantMapArgument { Domain = granter, Reference = reference, Flags = flags, HostAddress = address });

    public short Unmap(uint handle, ulong address = 0, ulong bus = 0) =>
        Call(GrantTableOp.UnmapGrantReference, new GrantUnmapArgument { Handle = handle, HostAddress = address, DeviceBusAddress = bus }).Status;

    public short SetUp(uint frames, ushort domain = DomainId.Self) =>
        Call(GrantTableOp.SetupTable, new GrantSetupArgument { Domain = domain, FrameCount = frames, FrameList = ListBase }).Status;

    public long SetVersion(uint version)
    {
        uint[] argument = [version];
        long result = Call(GrantTableOp.SetVersion, argument);
        Assert.Equal((uint)Table.Version, argument[0]);
        return result;
    }

    public static GrantCopyPointer OwnFrame(ulong frame, ushort offset = 0) => new() { Frame = frame, Domain = DomainId.Self, Offset = offset };

    public static GrantCopyPointer OfGrant(ushort domain, uint reference, ushort offset = 0) =>
        new() { Frame = reference, Domain = domain, Offset = offset };

    public short Copy(GrantCopyPointer source, GrantCopyPointer destination, ushort length, ushort flags) =>
        Call(GrantTableOp.Copy, new GrantCopyArgument { Source = source, Destination = destination, Length = length, Flags = flags }).Status;

    /// <summary>Tears the domain down as its destruction does; grants of it that others use have been returned.</summary>
    public void Destroy(TestMachine machine, Random? preemption = null)
    {
        machine.Destroy(Domain, preemption);
        Release(preemption);
        Assert.True(Domain.OwnsNoFrames);
    }

    public void Release(Random? preemption = null)
    {
        do
        {
            PendingWork.Exists = preemption != null && preemption.Next(2) == 0;
        }
        while (!GrantTeardown.TryReleaseMappings(Domain));

        PendingWork.Exists = false;
        Table.Release();
        Assert.Equal(0, Table.PrivateFrames);
    }

    public void FreeVcpus()
    {
        foreach (Vcpu? vcpu in Domain.Vcpus)
        {
            FrameAllocator.Free(vcpu!.StateAddress >> Cpu.PageShift, VcpuState.Order);
        }
    }
}
