using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Random use of what controls a vCPU, and of everything that is left.</summary>
internal static unsafe class ControlPlay
{
    // struct multicall_entry: op, result, six arguments.
    private const int MulticallEntryWords = 8;

    /// <summary>Trap table, callbacks, stacks and bases with random contents, and back to the kernel's own.</summary>
    internal static bool Callbacks()
    {
        TrapInfo* table = (TrapInfo*)VcpuRegion.Current->Scratch;
        for (int i = 0; i < 8; i++)
        {
            table[i] = default;
            table[i].Vector = (byte)Dice.Next();
            table[i].Flags = (byte)Dice.Next();
            table[i].CodeSelector = (ushort)Dice.Interesting();
            table[i].Address = i == 7 ? 0 : Pool.AnyAddress();
        }

        bool result;
        switch (Dice.Below(5))
        {
            case 0:
                result = Hypercall.Invoke(HypercallNumber.SetTrapTable, Dice.Once(4) ? Pool.AnyAddress() : (ulong)table) == 0;
                break;
            case 1:
                result = Hypercall.Invoke(HypercallNumber.SetCallbacks, Pool.AnyAddress(), Pool.AnyAddress(), Pool.AnyAddress()) == 0;
                break;
            case 2:
                result = Trap.SetCallback((ushort)Dice.Below(10), Pool.AnyAddress()) == 0;
                break;
            case 3:
                result = Hypercall.Invoke(HypercallNumber.StackSwitch, Dice.Interesting(), Pool.AnyAddress()) == 0;
                break;
            default:
                result = Hypercall.Invoke(HypercallNumber.SetSegmentBase, Dice.Below(6), Dice.Once(2) ? Dice.Interesting() : Pool.AnyAddress()) == 0;
                break;
        }

        Trap.Register();
        return result;
    }

    /// <summary>Areas that the hypervisor writes to from now on, timers, and questions about vCPUs.</summary>
    internal static bool Vcpu()
    {
        ulong* words = (ulong*)VcpuRegion.Current->Scratch;
        for (int i = 0; i < 8; i++)
        {
            words[i] = Dice.Interesting();
        }

        uint command = Dice.Below(16);
        int vcpu = (int)(Dice.Once(6) ? Dice.Interesting() : 0);
        switch (command)
        {
            case VcpuOp.RegisterRunStateMemoryArea:
            case VcpuOp.RegisterVcpuTimeMemoryArea:
                words[0] = Dice.Once(3) ? Dice.Interesting() : Pool.AnyAddress();
                if (words[0] - Domain.VirtualBase < Pool.Address(0) - Domain.VirtualBase)
                {
                    words[0] = Pool.Address(Pool.Pick());
                }

                break;
            case VcpuOp.Initialise:
            case VcpuOp.Up:
            case VcpuOp.Down:
            case VcpuOp.RegisterVcpuInfo:
            case VcpuOp.SendNmi:
                // Of itself these would end or deafen the kernel.
                vcpu = 8 + (int)Dice.Below(100);
                break;
            case VcpuOp.SetPeriodicTimer:
                words[0] = Dice.Once(2) ? 1_000_000 + Dice.Next() % 1_000_000_000 : Dice.Interesting();
                break;
            default:
                break;
        }

        return Hypercall.Invoke(HypercallNumber.VcpuOp, command, (ulong)vcpu, Dice.Once(6) ? SafeAddress() : (ulong)words) >= 0;
    }

    /// <summary>Takes a secondary vCPU down or brings it up, wherever it is, and asks about it.</summary>
    internal static bool UpDown()
    {
        ulong scratch = VcpuRegion.Current->Scratch;
        int vcpu = (int)Dice.Below((uint)Vcpus.Count);
        switch (Dice.Below(6))
        {
            case 0:
                return vcpu != 0 && Hypercall.Vcpu(VcpuOp.Down, vcpu, null) == 0;
            case 1 or 2:
                return vcpu != 0 && Hypercall.Vcpu(VcpuOp.Up, vcpu, null) == 0;
            case 3:
                return Hypercall.Vcpu(VcpuOp.IsUp, vcpu, null) > 0;
            case 4:
                return Hypercall.Vcpu(VcpuOp.GetRunStateInfo, vcpu, (void*)scratch) == 0;
            default:
                // Into this vCPU's arguments: nonsense in those is what they are for.
                *(ulong*)scratch = scratch + Dice.Below(64) * 8;
                return Hypercall.Vcpu(VcpuOp.RegisterRunStateMemoryArea, vcpu, (void*)scratch) == 0;
        }
    }

    /// <summary>sched_op, short of what ends the domain.</summary>
    internal static bool Schedule()
    {
        switch (Dice.Below(4))
        {
            case 0:
                return Hypercall.Sched(SchedOp.Yield, null) == 0;
            case 1:
                uint* ports = (uint*)VcpuRegion.Current->Scratch;
                for (int i = 0; i < 16; i++)
                {
                    ports[i] = EventPlay.Port();
                }

                SchedPoll poll = default;
                poll.Ports = Dice.Once(6) ? Pool.AnyAddress() : (ulong)ports;
                poll.PortCount = Dice.Once(6) ? (uint)Dice.Interesting() : Dice.Below(16);
                poll.Timeout = 1;
                return Hypercall.Sched(SchedOp.Poll, &poll) == 0;
            case 2:
                SchedRemoteShutdown remote = default;
                remote.DomainId = Dice.DomainNumber();
                return Hypercall.Sched(SchedOp.RemoteShutdown, &remote) == 0;
            default:
                return Hypercall.Invoke(HypercallNumber.SetTimerOp, Dice.Interesting()) == 0;
        }
    }

    /// <summary>Hypercalls that take numbers, or that must be refused, with any arguments.</summary>
    internal static bool Any()
    {
        uint number;
        switch (Dice.Below(16))
        {
            case 0:
                number = HypercallNumber.XenVersion;
                break;
            case 1:
                number = HypercallNumber.VmAssist;
                break;
            case 2:
                number = Dice.Once(2) ? HypercallNumber.SetDebugreg : HypercallNumber.GetDebugreg;
                break;
            case 3:
                number = HypercallNumber.FpuTaskswitch;
                break;
            case 4:
                number = Dice.Once(2) ? HypercallNumber.PhysdevOp : HypercallNumber.PhysdevOpCompat;
                break;
            case 5:
                number = HypercallNumber.ConsoleIo;
                break;
            case 6:
                number = HypercallNumber.NmiOp;
                break;
            case 7:
                number = Dice.Once(2) ? HypercallNumber.Domctl : HypercallNumber.Sysctl;
                break;
            case 8:
                number = HypercallNumber.PlatformOp;
                break;
            case 9:
                number = HypercallNumber.HvmOp;
                break;
            case 10:
                number = HypercallNumber.EventChannelOpCompat;
                ulong* words = (ulong*)VcpuRegion.Current->Scratch;
                words[0] = EventChannelOp.Status;
                break;
            default:
                number = 34 + Dice.Below(40);
                break;
        }

        ulong second = Dice.Once(2) ? VcpuRegion.Current->Scratch : SafeAddress();
        bool result = Hypercall.Invoke(number, number == HypercallNumber.EventChannelOpCompat ? VcpuRegion.Current->Scratch : First(number), second, Dice.Interesting(), Dice.Interesting(), Dice.Interesting()) >= 0;

        // A task switch flag or an emulated IOPL left behind is the kernel's business at once.
        Hypercall.Invoke(HypercallNumber.FpuTaskswitch, 0);
        return result;
    }

    private static ulong First(uint number) =>
        number == HypercallNumber.SetDebugreg ? Dice.Below(8) : Dice.Once(3) ? Dice.Interesting() : Dice.Below(40);

    /// <summary>A batch of calls, those of the other plays among them.</summary>
    internal static bool Multicall()
    {
        ulong* entries = (ulong*)(VcpuRegion.Current->Scratch + 2048);
        MmuUpdate* requests = (MmuUpdate*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(16);
        for (uint i = 0; i < count; i++)
        {
            ulong* entry = entries + i * MulticallEntryWords;
            entry[1] = 0xdead;
            for (int word = 2; word < MulticallEntryWords; word++)
            {
                entry[word] = Dice.Interesting();
            }

            switch (Dice.Below(6))
            {
                case 0:
                    int hot = Pool.Pick();
                    Pool.Writable(hot) = 0;
                    entry[0] = HypercallNumber.UpdateVaMapping;
                    entry[2] = Pool.Address(hot);
                    entry[3] = Pool.AnyEntry();
                    entry[4] = Dice.Below(8);
                    break;
                case 1:
                    requests[i].Pointer = (Pool.ExpendableFrame() << PageEntry.PageShift) + Dice.Below(512) * 8;
                    requests[i].Value = Pool.AnyEntry();
                    entry[0] = HypercallNumber.MmuUpdate;
                    entry[2] = (ulong)(requests + i);
                    entry[3] = 1;
                    entry[4] = 0;
                    entry[5] = DomainId.Self;
                    break;
                case 2:
                    entry[0] = HypercallNumber.Multicall;
                    entry[2] = (ulong)entries;
                    entry[3] = Dice.Below(4);
                    break;
                case 3:
                    entry[0] = HypercallNumber.XenVersion;
                    entry[2] = Dice.Below(12);
                    entry[3] = Pool.Address(Pool.Pick());
                    break;
                case 4:
                    entry[0] = HypercallNumber.SchedOp;
                    entry[2] = SchedOp.Yield;
                    break;
                default:
                    entry[0] = 34 + Dice.Below(100);
                    break;
            }
        }

        ulong address = Dice.Once(16) ? Pool.AnyAddress() : (ulong)entries;
        ulong length = Dice.Once(30) ? Dice.Interesting() : count;
        if (Trap.Call(&HoldsIret, address, length) != 0)
        {
            return false;
        }

        bool result = Hypercall.Invoke(HypercallNumber.Multicall, address, length) == 0;

        // A batch that is longer than what was written for it goes on with words that may mean anything.
        Trap.Register();
        return result;
    }

    /// <summary>
    /// Whether HYPERVISOR_iret is in a batch, which would be the end of the kernel. Not among what was written for it, but it may be elsewhere: a part of a
    /// time stamp can have its number. Traps where the hypervisor cannot read on either.
    /// </summary>
    private static ulong HoldsIret(ulong batch, ulong length)
    {
        ulong* entry = (ulong*)batch;
        for (uint i = 0; i < (uint)length; i++, entry += MulticallEntryWords)
        {
            if (*entry == HypercallNumber.Iret)
            {
                return 1;
            }
        }

        return 0;
    }

    /// <summary>An address that the hypervisor may write to without harm to the kernel.</summary>
    private static ulong SafeAddress()
    {
        ulong address = Pool.AnyAddress();
        ulong scratch = VcpuRegion.Current->Scratch;
        bool isKernel = address - Domain.VirtualBase < Pool.Address(0) - Domain.VirtualBase;
        return isKernel && address - scratch >= 2 * PageEntry.PageSize ? scratch : address;
    }
}
