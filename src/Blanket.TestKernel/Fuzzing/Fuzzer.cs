using System;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// Random hypercalls with half-valid arguments on a small pool of frames, grants and ports that they share. What the kernel knows for certain is
/// checked; the rest is the hypervisor's to survive, and the boot test's to look at: the guest next door, and the frames afterwards.
/// </summary>
internal static unsafe class Fuzzer
{
    private const int PlayCount = 25;

    private static Counts s_done;
    private static Counts s_successes;

    [System.Runtime.CompilerServices.InlineArray(PlayCount)]
    private struct Counts
    {
        private uint _first;
    }

    internal static void Run(ulong iterations, ulong seed)
    {
        Output.Text("fuzz: seed "u8);
        Output.Number((long)seed);
        Output.Text(", iterations "u8);
        Output.Number((long)iterations);
        Output.End();
        GrantPlay.OwnDomain = OwnDomain();
        Prepare();
        Pool.Initialize(GrantPlay.Initialize());
        Dice.Seed(seed);
        for (ulong i = 0; i < iterations; i++)
        {
            int play = (int)Dice.Below(PlayCount);
            s_done[play]++;
            if (Play(play))
            {
                s_successes[play]++;
            }
        }

        Output.Text("fuzz: successes"u8);
        for (int i = 0; i < PlayCount; i++)
        {
            Output.Text(" "u8);
            Output.Number(s_successes[i]);
            Output.Text("/"u8);
            Output.Number(s_done[i]);
        }

        Output.End();
        Report.True("the fuzzer went through"u8, true);
    }

    private static bool Play(int play) => play switch
    {
        0 or 1 => MemoryPlay.Map(),
        2 or 3 => MemoryPlay.Fill(),
        4 or 5 => MemoryPlay.Pin(),
        6 => MemoryPlay.Update(),
        7 => MemoryPlay.Extended(),
        8 => MemoryPlay.UpdateAny(),
        9 => MemoryPlay.SwitchRoot(),
        10 => MemoryPlay.WriteInPlace(),
        11 => MemoryPlay.Decrease(),
        12 => MemoryPlay.Populate(),
        13 => MemoryPlay.Exchange(),
        14 => MemoryPlay.AnyMemory(),
        15 => MemoryPlay.Descriptors(),
        16 => GrantPlay.Offer(),
        17 => Dice.Once(2) ? GrantPlay.Map() : GrantPlay.Unmap(),
        18 => Dice.Once(2) ? GrantPlay.Copy() : GrantPlay.UnmapAndReplace(),
        19 => Dice.Once(3) ? GrantPlay.Transfer() : GrantPlay.Manage(),
        20 => Dice.Once(2) ? EventPlay.Bind() : EventPlay.Use(),
        21 => Dice.Once(8) ? EventPlay.Fifo() : Dice.Once(3) ? EventPlay.Any() : EventPlay.Use(),
        22 => Dice.Once(2) ? ControlPlay.Callbacks() : ControlPlay.Vcpu(),
        23 => Dice.Once(3) ? ControlPlay.Schedule() : ControlPlay.Any(),
        _ => ControlPlay.Multicall(),
    };

    /// <summary>Two pages for arguments, and none behind them.</summary>
    private static void Prepare()
    {
        VcpuRegion* region = VcpuRegion.Current;
        region->Scratch = Page.Take().Address;
        Page.Take();
        Page.Take().Unmap();
    }

    /// <summary>The domain's number, as the status of a channel to itself tells it.</summary>
    private static ushort OwnDomain()
    {
        EventChannelAllocateUnbound unbound = default;
        unbound.Domain = DomainId.Self;
        unbound.RemoteDomain = DomainId.Self;
        Domain.Require(Hypercall.Event(EventChannelOp.AllocateUnbound, &unbound));
        EventChannelStatus status = default;
        status.Domain = DomainId.Self;
        status.Port = unbound.Port;
        Domain.Require(Hypercall.Event(EventChannelOp.Status, &status));
        return status.RemoteDomain;
    }
}
