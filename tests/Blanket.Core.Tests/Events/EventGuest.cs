using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Hypercalls;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Remembers which vCPUs were notified.</summary>
internal sealed class RecordingNotifier : VcpuNotifier
{
    public List<Vcpu> Notified { get; } = [];

    protected override void Notify(Vcpu vcpu)
    {
        lock (Notified)
        {
            Notified.Add(vcpu);
        }
    }
}

/// <summary>A machine for event channel tests: service channels ready, notifications recorded.</summary>
internal sealed class EventMachine
{
    public const int MaximumChannels = 300;

    public EventMachine(int frames = 512)
    {
        Machine = new TestMachine(frames);
        Notifier = new RecordingNotifier();
        VcpuNotifier.Install(Notifier);
        ServiceChannels.Initialize(MaximumChannels, 1);
    }

    public TestMachine Machine { get; }

    public RecordingNotifier Notifier { get; }

    public List<Vcpu> TakeNotified()
    {
        List<Vcpu> notified = [.. Notifier.Notified];
        Notifier.Notified.Clear();
        return notified;
    }
}

/// <summary>A guest kernel as the event channel hypercalls see it.</summary>
internal sealed class EventGuest
{
    public EventGuest(EventMachine machine, ushort id, int vcpus = 2, int frames = 8, uint maximumPort = 4095)
    {
        Guest = new TestGuest(machine.Machine, id, frames, vcpus);
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong shared));
        Core.Memory.SharedFrames.Share(shared, Domain, readOnly: false);
        Domain.SharedInfoFrame = shared;
        Domain.CreateEventChannels(maximumPort);
        foreach (Vcpu? vcpu in Domain.Vcpus)
        {
            vcpu!.Info.UseSharedInfo(vcpu);
        }
    }

    public TestGuest Guest { get; }

    public Domain Domain => Guest.Domain;

    public EventChannels Events => Domain.Events!;

    public ulong SharedInfoAddress => Domain.SharedInfoFrame << Cpu.PageShift;

    public long Call<T>(int operation, ref T argument) where T : unmanaged
    {
        Guest.Use(0);
        Guest.Store(TestGuest.ArgumentBase, [argument]);
        long result = Guest.Call(EventChannelHypercalls.Handle, (ulong)operation, TestGuest.ArgumentBase);
        argument = Guest.Load<T>(TestGuest.ArgumentBase);
        return result;
    }

    public long CallWithPort(int operation, uint port) => Call(operation, ref port);

    public long AllocateUnbound(ushort remote, out uint port, ushort domain = DomainId.Self)
    {
        EventChannelAllocateUnbound argument = new() { Domain = domain, RemoteDomain = remote };
        long result = Call(EventChannelOp.AllocateUnbound, ref argument);
        port = argument.Port;
        return result;
    }

    public uint AllocateUnbound(ushort remote)
    {
        Assert.Equal(0, AllocateUnbound(remote, out uint port));
        return port;
    }

    public long BindInterdomain(ushort remote, uint remotePort, out uint port)
    {
        EventChannelBindInterdomain argument = new() { RemoteDomain = remote, RemotePort = remotePort };
        long result = Call(EventChannelOp.BindInterdomain, ref argument);
        port = argument.LocalPort;
        return result;
    }

    public long BindVirq(uint virq, uint vcpu, out uint port)
    {
        EventChannelBindVirq argument = new() { Virq = virq, Vcpu = vcpu };
        long result = Call(EventChannelOp.BindVirq, ref argument);
        port = argument.Port;
        return result;
    }

    public long BindIpi(uint vcpu, out uint port)
    {
        EventChannelBindIpi argument = new() { Vcpu = vcpu };
        long result = Call(EventChannelOp.BindIpi, ref argument);
        port = argument.Port;
        return result;
    }

    public long BindVcpu(uint port, uint vcpu)
    {
        EventChannelBindVcpu argument = new() { Port = port, Vcpu = vcpu };
        return Call(EventChannelOp.BindVcpu, ref argument);
    }

    public long Close(uint port) => CallWithPort(EventChannelOp.Close, port);

    public long Send(uint port) => CallWithPort(EventChannelOp.Send, port);

    public long Unmask(uint port) => CallWithPort(EventChannelOp.Unmask, port);

    public long Reset(ushort domain = DomainId.Self)
    {
        EventChannelReset argument = new() { Domain = domain };
        return Call(EventChannelOp.Reset, ref argument);
    }

    public long Status(uint port, out EventChannelStatus status, ushort domain = DomainId.Self)
    {
        status = new EventChannelStatus { Domain = domain, Port = port };
        return Call(EventChannelOp.Status, ref status);
    }

    public EventChannelStatus Status(uint port)
    {
        Assert.Equal(0, Status(port, out EventChannelStatus status));
        return status;
    }

    public long InitializeControl(ulong frame, uint offset, uint vcpu, out byte linkBits)
    {
        EventChannelInitializeControl argument = new() { ControlFrame = frame, Offset = offset, Vcpu = vcpu };
        long result = Call(EventChannelOp.InitializeControl, ref argument);
        linkBits = argument.LinkBits;
        return result;
    }

    public long ExpandArray(ulong frame)
    {
        EventChannelExpandArray argument = new() { ArrayFrame = frame };
        return Call(EventChannelOp.ExpandArray, ref argument);
    }

    public long SetPriority(uint port, uint priority)
    {
        EventChannelSetPriority argument = new() { Port = port, Priority = priority };
        return Call(EventChannelOp.SetPriority, ref argument);
    }

    public bool IsPendingBit(uint port) => (Word(SharedInfo.EventPendingOffset, port) >> (int)(port & 63) & 1) != 0;

    public void ClearPendingBit(uint port) => Word(SharedInfo.EventPendingOffset, port) &= ~(1UL << (int)(port & 63));

    public void Mask(uint port) => Word(SharedInfo.EventMaskOffset, port) |= 1UL << (int)(port & 63);

    public bool IsMasked(uint port) => (Word(SharedInfo.EventMaskOffset, port) >> (int)(port & 63) & 1) != 0;

    public ref VcpuInfo Info(int vcpu) => ref PhysicalMemory.At<VcpuInfo>(Domain.Vcpus[vcpu]!.Info.Address);

    /// <summary>Takes what is pending for a vCPU with the two-level ABI, as an upcall handler does.</summary>
    public List<uint> TakeEvents(int vcpu)
    {
        List<uint> events = [];
        ref VcpuInfo info = ref Info(vcpu);
        info.EventPending = 0;
        ulong selector = info.PendingSelector;
        info.PendingSelector = 0;
        for (int word = 0; word < 64; word++)
        {
            if ((selector >> word & 1) == 0)
            {
                continue;
            }

            ref ulong pending = ref Word(SharedInfo.EventPendingOffset, (uint)word * 64);
            ulong ready = pending & ~Word(SharedInfo.EventMaskOffset, (uint)word * 64);
            pending &= ~ready;
            for (int bit = 0; bit < 64; bit++)
            {
                if ((ready >> bit & 1) != 0)
                {
                    events.Add((uint)(word * 64 + bit));
                }
            }
        }

        return events;
    }

    /// <summary>Tears the domain down as its destruction does, and checks that nothing is left.</summary>
    public void Destroy(TestMachine machine, Random? preemption = null)
    {
        Domain.IsDying = true;
        int goes = 0;
        do
        {
            PendingWork.Exists = preemption != null && preemption.Next(2) == 0;
            Assert.True(goes++ < 10_000, "closing does not end");
        }
        while (!Events.TryCloseAll());

        PendingWork.Exists = false;
        Assert.Equal(0, Events.ActivePorts);
        Events.Release();
        Assert.Equal(0, Events.Frames);
        ulong shared = Domain.SharedInfoFrame;
        Domain.SharedInfoFrame = 0;
        Assert.Equal(0, Core.Memory.SharedFrames.Withdraw(shared, Domain));
        machine.Destroy(Domain);
        Assert.True(Domain.OwnsNoFrames);
    }

    /// <summary>Gives the memory of its vCPUs back, after <see cref="Destroy"/>.</summary>
    public void FreeVcpus()
    {
        foreach (Vcpu? vcpu in Domain.Vcpus)
        {
            FrameAllocator.Free(vcpu!.StateAddress >> Cpu.PageShift, VcpuState.Order);
        }
    }

    private ref ulong Word(int area, uint port) =>
        ref PhysicalMemory.At<ulong>(SharedInfoAddress + (ulong)area + (port >> 6) * 8);
}
