using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Grants;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A guest's memory, grants and event channels, and what the backends hold of them.</summary>
internal sealed class TestGuest
{
    private const int GrantFrames = 16;
    private const ulong ArgumentBase = 0x10_0000;

    private readonly Stack<uint> _freeReferences = new();
    private readonly Stack<ulong> _freeFrames = new();

    internal TestGuest(TestMachine machine, Domain domain)
    {
        Machine = machine;
        Domain = domain;
        domain.MaximumFrames = 4096;
        FrameOwners.CreateEntry(domain);
        for (int i = 0; i < domain.Vcpus.Length; i++)
        {
            Assert.True(FrameAllocator.TryAllocate(VcpuState.Order, ulong.MaxValue, out ulong state));
            domain.Vcpus[i] = new Vcpu(domain, i, state);
        }

        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong shared));
        SharedFrames.Share(shared, domain, readOnly: false);
        domain.SharedInfoFrame = shared;
        domain.CreateEventChannels();
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            vcpu!.Info.UseSharedInfo(vcpu);
        }

        Assert.True(domain.CreateGrantTable(GrantFrames));
        Assert.True(domain.Grants!.TryGrow(GrantFrames));
        for (uint reference = domain.Grants.EntryCount - 1; reference >= 8; reference--)
        {
            _freeReferences.Push(reference);
        }
    }

    internal TestMachine Machine { get; }

    internal Domain Domain { get; }

    /// <summary>Grants that the backends use.</summary>
    internal int PinCount => Domain.Grants!.EntriesInUse;

    /// <summary>Event channels of all guests that the backends have bound.</summary>
    internal int BoundPorts => ServiceChannels.OpenChannels;

    internal string Home => $"/local/domain/{Domain.Id}";

    internal ulong NewFrame()
    {
        if (_freeFrames.TryPop(out ulong frame))
        {
            PhysicalMemory.ZeroFrame(frame);
            return frame;
        }

        Assert.True(FrameOwnership.TryAllocate(Domain, out frame));
        return frame;
    }

    internal ulong NewFrames(int order)
    {
        Assert.True(FrameOwnership.TryAllocate(Domain, order, ulong.MaxValue, out ulong frame));
        return frame;
    }

    internal void FreeFrame(ulong frame) => _freeFrames.Push(frame);

    internal uint Grant(ulong frame, bool readOnly = false)
    {
        uint reference = _freeReferences.Pop();
        GrantAt(reference, frame, readOnly);
        return reference;
    }

    internal void GrantAt(uint reference, ulong frame, bool readOnly = false)
    {
        PhysicalMemory.Write(Entry(reference) + GrantTableEntry.FrameOffsetV1, (uint)frame);
        uint flags = GrantTableFlags.PermitAccess | (readOnly ? GrantTableFlags.ReadOnly : 0u);
        PhysicalMemory.Write(Entry(reference), flags | ((uint)DomainId.Services << 16));
    }

    /// <summary>Ends a grant; true when nobody uses it.</summary>
    internal bool EndGrant(uint reference)
    {
        uint flags = PhysicalMemory.Read<uint>(Entry(reference));
        if ((flags & (GrantTableFlags.Reading | GrantTableFlags.Writing)) != 0)
        {
            return false;
        }

        PhysicalMemory.Write(Entry(reference), 0u);
        _freeReferences.Push(reference);
        return true;
    }

    internal uint NewPort()
    {
        Assert.Equal(0, ServiceChannels.AllocateUnbound(Domain, out uint port));
        return port;
    }

    /// <summary>Sends an event through a port.</summary>
    internal void Send(uint port)
    {
        byte[] memory = BitConverter.GetBytes(port);
        GuestMemory.Simulate(ArgumentBase, memory);
        HypercallArguments arguments = new() { A1 = EventChannelOp.Send, A2 = ArgumentBase };
        Assert.Equal(0, EventChannelHypercalls.Handle(Domain.Vcpus[0]!, ref arguments));
        ServiceChannels.RunPending();
    }

    /// <summary>Takes the event that came in through a port: 1, or 0 for none.</summary>
    internal int TakeEvents(uint port)
    {
        ulong address = (Domain.SharedInfoFrame << Cpu.PageShift) + SharedInfo.EventPendingOffset + (port >> 6) * 8;
        ulong bit = 1UL << (int)(port & 63);
        ulong pending = PhysicalMemory.Read<ulong>(address);
        PhysicalMemory.Write(address, pending & ~bit);
        return (pending & bit) != 0 ? 1 : 0;
    }

    private ulong Entry(uint reference)
    {
        const uint PerFrame = Cpu.PageSize / 8;
        return (Domain.Grants!.SharedFrame((int)(reference / PerFrame)) << Cpu.PageShift) + reference % PerFrame * 8;
    }
}
