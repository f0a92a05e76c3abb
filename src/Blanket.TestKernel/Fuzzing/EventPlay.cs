using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Random event channels. Those of the console and of xenstore are left alone: without them nothing is heard.</summary>
internal static unsafe class EventPlay
{
    internal static uint Port()
    {
        uint port = Dice.Once(12) ? (uint)Dice.Interesting() : Dice.Below(Dice.Once(20) ? 6000u : 40);
        return port == Domain.Start.ConsolePort || port == Domain.Start.StorePort ? port + 20 : port;
    }

    /// <summary>Binds ports, to a domain where there are two ends.</summary>
    internal static bool Bind(ushort remote)
    {
        switch (Dice.Below(5))
        {
            case 0:
                EventChannelAllocateUnbound unbound = default;
                unbound.Domain = Dice.DomainNumber();
                unbound.RemoteDomain = Dice.Once(3) ? Dice.DomainNumber() : remote;
                return Hypercall.Event(EventChannelOp.AllocateUnbound, &unbound) == 0;
            case 1:
                EventChannelBindInterdomain interdomain = default;
                interdomain.RemoteDomain = Dice.Once(8) ? Dice.DomainNumber() : remote;
                interdomain.RemotePort = Port();
                return Hypercall.Event(EventChannelOp.BindInterdomain, &interdomain) == 0;
            case 2:
                EventChannelBindVirq virq = default;
                virq.Virq = Dice.Once(8) ? (uint)Dice.Interesting() : Dice.Below(26);
                virq.Vcpu = Vcpu();
                return Hypercall.Event(EventChannelOp.BindVirq, &virq) == 0;
            case 3:
                EventChannelBindIpi ipi = default;
                ipi.Vcpu = Vcpu();
                return Hypercall.Event(EventChannelOp.BindIpi, &ipi) == 0;
            default:
                EventChannelBindVcpu move = default;
                move.Port = Port();
                move.Vcpu = Vcpu();
                return Hypercall.Event(EventChannelOp.BindVcpu, &move) == 0;
        }
    }

    /// <summary>Sends, closes, unmasks, asks.</summary>
    internal static bool Use()
    {
        uint port = Port();
        switch (Dice.Below(8))
        {
            case 0:
                return Hypercall.Event(EventChannelOp.Close, &port) == 0;
            case 1:
                return Hypercall.Event(EventChannelOp.Unmask, &port) == 0;
            case 2:
                EventChannelStatus status = default;
                status.Domain = Dice.DomainNumber();
                status.Port = port;
                return Hypercall.Event(EventChannelOp.Status, &status) == 0;
            case 3:
                EventChannelSetPriority priority = default;
                priority.Port = port;
                priority.Priority = Dice.Once(4) ? (uint)Dice.Interesting() : Dice.Below(17);
                return Hypercall.Event(EventChannelOp.SetPriority, &priority) == 0;
            default:
                return Hypercall.Event(EventChannelOp.Send, &port) == 0;
        }
    }

    /// <summary>Takes what is pending off, so that it can come again, and lets upcalls in, or not. True when this vCPU had upcalls since the last time.</summary>
    internal static bool Take()
    {
        VcpuRegion* region = VcpuRegion.Current;
        for (int word = 0; word < 64; word++)
        {
            Volatile.Write(ref ((ulong*)(Domain.Shared + SharedInfo.EventPendingOffset))[word], 0);
        }

        Volatile.Write(ref region->Info->PendingSelector, 0);
        Volatile.Write(ref region->Info->EventMask, (byte)Dice.Below(2));
        int upcalls = region->Upcalls;
        region->Upcalls = 0;
        return upcalls != 0;
    }

    /// <summary>The FIFO ABI: the control block and the array are frames of the pool, which the guest writes to as it likes.</summary>
    internal static bool Fifo()
    {
        if (Dice.Once(2))
        {
            EventChannelInitializeControl control = default;
            control.ControlFrame = Pool.ExpendableFrame();
            control.Offset = Dice.Once(3) ? (uint)Dice.Interesting() : Dice.Below(512) * 8;
            control.Vcpu = Vcpu();
            return Hypercall.Event(EventChannelOp.InitializeControl, &control) == 0;
        }

        EventChannelExpandArray array = default;
        array.ArrayFrame = Pool.ExpendableFrame();
        return Hypercall.Event(EventChannelOp.ExpandArray, &array) == 0;
    }

    /// <summary>Commands with an argument of random words; what closes everything is left out.</summary>
    internal static bool Any()
    {
        ulong* words = (ulong*)VcpuRegion.Current->Scratch;
        for (int i = 0; i < 4; i++)
        {
            words[i] = (Dice.Interesting() & 0xffff_ffff_ffff_0000) | Port();
        }

        ulong command = Dice.Below(20);
        if (command is EventChannelOp.Reset or EventChannelOp.ResetContinuation)
        {
            words[0] = 1 + Dice.Below(0x7000);
            if (words[0] == GrantPlay.OwnDomain)
            {
                words[0]++;
            }
        }

        return Hypercall.Invoke(HypercallNumber.EventChannelOp, command, (ulong)words) == 0;
    }

    private static uint Vcpu() => Dice.Once(12) ? (uint)Dice.Interesting() : Dice.Below(3);
}
