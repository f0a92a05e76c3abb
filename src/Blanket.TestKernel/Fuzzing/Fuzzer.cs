using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// Random hypercalls with half-valid arguments on a small pool of frames, grants and ports that they share. What the kernel knows for certain is
/// checked; the rest is the hypervisor's to survive, and the boot test's to look at: the guest next door, the recounts, and the frames afterwards.
/// All vCPUs play at the same time; with more than one nothing about a hot frame is certain. A storm is the plays that race.
/// </summary>
internal static unsafe class Fuzzer
{
    private const uint FuzzPlays = 26;
    private const uint StormPlays = 22;
    private const int PlayCount = 26;

    // The plays up to this one are the same in both.
    private const uint LastOfTables = 10;

    private static Counts s_done;
    private static Counts s_successes;
    private static ulong s_iterations;
    private static ulong s_seed;
    private static bool s_isStorm;
    private static uint s_finished;
    private static uint s_strangeTraps;

    [System.Runtime.CompilerServices.InlineArray(PlayCount)]
    private struct Counts
    {
        private uint _first;
    }

    internal static void Run(ulong iterations, ulong seed, bool isStorm)
    {
        s_iterations = iterations;
        s_seed = seed;
        s_isStorm = isStorm;
        Output.Text(isStorm ? "storm: seed "u8 : "fuzz: seed "u8);
        Output.Number((long)seed);
        Output.Text(", iterations "u8);
        Output.Number((long)iterations);
        Output.Text(", vCPUs "u8);
        Output.Number(Vcpus.Count);
        Output.End();
        GrantPlay.OwnDomain = OwnDomain();
        GrantPlay.Peer = (ushort)Options.Number("peer"u8, GrantPlay.OwnDomain);
        for (int vcpu = 0; vcpu < Vcpus.Count; vcpu++)
        {
            Prepare(VcpuRegion.Of(vcpu));
        }

        Pool.Initialize(GrantPlay.Initialize());
        for (int vcpu = 1; vcpu < Vcpus.Count; vcpu++)
        {
            Vcpus.Start(vcpu);
        }

        Play();
        AwaitOthers();
        Output.Text(isStorm ? "storm: successes"u8 : "fuzz: successes"u8);
        for (int i = 0; i < (isStorm ? StormPlays : FuzzPlays); i++)
        {
            Output.Text(" "u8);
            Output.Number(s_successes[i]);
            Output.Text("/"u8);
            Output.Number(s_done[i]);
        }

        Output.End();
        Report.Equal("traps that no play explains"u8, s_strangeTraps, 0);
    }

    /// <summary>The part of a secondary vCPU, which is down when it is over.</summary>
    internal static void RunSecondary()
    {
        Play();
        Interlocked.Increment(ref s_finished);
        while (true)
        {
            Hypercall.Vcpu(VcpuOp.Down, VcpuRegion.Current->Number, null);
        }
    }

    private static void Play()
    {
        Dice.Seed(unchecked(s_seed + (ulong)VcpuRegion.Current->Number * 0x1_0000_0001));
        for (ulong i = 0; i < s_iterations; i++)
        {
            uint play = Dice.Below(s_isStorm ? StormPlays : FuzzPlays);
            bool succeeded = Pool.IsAlone ? Play(play) : Trap.Call(&PlayGuarded, play) != 0;
            Interlocked.Increment(ref s_done[(int)play]);
            if (succeeded)
            {
                Interlocked.Increment(ref s_successes[(int)play]);
            }

            // Another vCPU may have unmapped the page that this one writes to.
            if (s_isStorm && Trap.Vector is not (Trap.None or Trap.PageFault))
            {
                Interlocked.Increment(ref s_strangeTraps);
            }
        }
    }

    private static ulong PlayGuarded(ulong play, ulong unused) => Play((uint)play) ? 1UL : 0;

    private static bool Play(uint play) => play <= LastOfTables ? PlayTables(play) : s_isStorm ? PlayStorm(play) : PlayAny(play);

    private static bool PlayTables(uint play) => play switch
    {
        0 or 1 => MemoryPlay.Map(),
        2 or 3 => MemoryPlay.Fill(),
        4 or 5 => MemoryPlay.Pin(),
        6 => MemoryPlay.Update(),
        7 => MemoryPlay.Extended(),
        8 => MemoryPlay.UpdateAny(),
        9 => MemoryPlay.SwitchRoot(),
        _ => MemoryPlay.WriteInPlace(),
    };

    private static bool PlayAny(uint play) => play switch
    {
        11 => MemoryPlay.Decrease(),
        12 => MemoryPlay.Populate(),
        13 => MemoryPlay.Exchange(),
        14 => MemoryPlay.AnyMemory(),
        15 => MemoryPlay.Descriptors(),
        16 => GrantPlay.Offer(),
        17 => Dice.Once(2) ? GrantPlay.Map(GrantPlay.Partner()) : GrantPlay.Unmap(),
        18 => Dice.Once(2) ? GrantPlay.Copy() : GrantPlay.UnmapAndReplace(),
        19 => Dice.Once(3) ? GrantPlay.Transfer() : GrantPlay.Manage(),
        20 => Dice.Once(2) ? EventPlay.Bind(GrantPlay.Partner()) : EventPlay.Use(),
        21 => Dice.Once(8) ? EventPlay.Fifo() : Dice.Once(3) ? EventPlay.Any() : EventPlay.Use(),
        22 => Dice.Once(2) ? ControlPlay.Callbacks() : ControlPlay.Vcpu(),
        23 => Dice.Once(3) ? ControlPlay.Schedule() : ControlPlay.Any(),
        24 => ControlPlay.UpDown(),
        _ => ControlPlay.Multicall(),
    };

    private static bool PlayStorm(uint play) => play switch
    {
        11 => GrantPlay.Offer(),
        12 => GrantPlay.Map(GrantPlay.OwnDomain),
        13 => GrantPlay.Map(GrantPlay.Peer),
        14 => GrantPlay.Unmap(),
        15 => GrantPlay.Copy(),
        16 => Dice.Once(4) ? GrantPlay.Manage() : GrantPlay.UnmapAndReplace(),
        17 => EventPlay.Bind(GrantPlay.OwnDomain),
        18 => EventPlay.Bind(GrantPlay.Peer),
        19 => EventPlay.Use(),
        20 => EventPlay.Take(),
        _ => ControlPlay.UpDown(),
    };

    /// <summary>Waits for the other vCPUs; those that were taken down have to come up for that.</summary>
    private static void AwaitOthers()
    {
        while (Volatile.Read(ref s_finished) + 1 < (uint)Vcpus.Count)
        {
            for (int vcpu = 1; vcpu < Vcpus.Count; vcpu++)
            {
                Hypercall.Vcpu(VcpuOp.Up, vcpu, null);
            }

            Domain.Yield();
        }
    }

    /// <summary>A vcpu_info for a secondary vCPU, a root table, two pages for arguments, and none behind them.</summary>
    private static void Prepare(VcpuRegion* region)
    {
        if (region->Number != 0)
        {
            Vcpus.Register(region->Number, Page.Take());
        }

        region->RootPage = Page.Take().Pfn;
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
