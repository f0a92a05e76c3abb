using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Drivers.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>The grant side of a Xen underneath: a table in the frames that the driver names, and backends that use it. Misuse fails the test.</summary>
internal sealed class FakeGrants : XenHypercalls
{
    private readonly Dictionary<ulong, ulong> _frames = [];
    private readonly Dictionary<uint, int> _uses = [];

    /// <summary>A table of at most so many frames; the machine exists.</summary>
    public FakeGrants(uint maximumFrames = 64)
    {
        MaximumFrames = maximumFrames;
        Access = GrantAccess.Create(this)!;
    }

    public uint MaximumFrames { get; }

    /// <summary>What drivers use.</summary>
    public GrantAccess Access { get; }

    /// <summary>References that grant something.</summary>
    public int Granted
    {
        get
        {
            int count = 0;
            foreach (ulong frame in _frames.Values)
            {
                foreach (ulong entry in PhysicalMemory.FrameAs<ulong>(frame))
                {
                    count += (entry & GrantTableFlags.TypeMask) == GrantTableFlags.PermitAccess ? 1 : 0;
                }
            }

            return count;
        }
    }

    public override long Call(uint number, ulong command, Span<byte> argument, ulong count)
    {
        if (number == HypercallNumber.GrantTableOp && command == GrantTableOp.QuerySize)
        {
            ref GrantQuerySizeArgument size = ref MemoryMarshal.AsRef<GrantQuerySizeArgument>(argument);
            size.MaximumFrames = MaximumFrames;
            size.Status = GrantTableStatus.Okay;
            return 0;
        }

        Assert.Equal((HypercallNumber.MemoryOp, (ulong)MemoryCommand.AddToPhysmap), (number, command));
        MemoryAddToPhysmap map = MemoryMarshal.Read<MemoryAddToPhysmap>(argument);
        Assert.Equal(MemoryAddToPhysmap.SpaceGrantTable, map.Space);
        _frames[map.Index] = map.Frame;
        return 0;
    }

    public override long CallVcpu(uint command, uint vcpu, Span<byte> argument) => -Errno.ENOSYS;

    /// <summary>A backend maps a page; fails the test unless that is allowed.</summary>
    public ulong Map(uint reference, ushort domain, bool isWrite)
    {
        ref ulong entry = ref Entry(reference);
        Assert.True((entry & GrantTableFlags.TypeMask) == GrantTableFlags.PermitAccess, $"grant {reference} does not exist");
        Assert.Equal(domain, (ushort)(entry >> 16));
        Assert.False(isWrite && (entry & GrantTableFlags.ReadOnly) != 0, "a page that is granted for reading is to be written");
        entry |= GrantTableFlags.Reading | (ulong)(isWrite ? GrantTableFlags.Writing : 0);
        _uses[reference] = _uses.GetValueOrDefault(reference) + 1;
        return entry >> 32;
    }

    public void Unmap(uint reference)
    {
        Assert.True(_uses.GetValueOrDefault(reference) > 0);
        if (--_uses[reference] == 0)
        {
            Entry(reference) &= ~(ulong)(GrantTableFlags.Reading | GrantTableFlags.Writing);
        }
    }

    /// <summary>The machine was restored from a save: L0's new grant table is empty.</summary>
    public void Lose()
    {
        foreach (ulong frame in _frames.Values)
        {
            PhysicalMemory.ZeroFrame(frame);
        }

        _uses.Clear();
        Assert.True(Access.TryResume());
    }

    private ref ulong Entry(uint reference) => ref PhysicalMemory.FrameAs<ulong>(_frames[reference / 512])[(int)(reference % 512)];
}
