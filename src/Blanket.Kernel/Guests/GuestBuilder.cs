using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Bundles;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>Makes a guest's domain: what a toolstack does for a PV domain (docs/architecture.md, "Starting a guest").</summary>
internal static class GuestBuilder
{
    private const uint ReservedConsole = 0;
    private const uint ReservedStore = 1;
    private const ulong BytesPerKiB = 1024;
    private static ushort s_lastDomainId;

    /// <summary>Builds and starts a domain for a guest, of the frames that are claimed for it. On false the domain, if any, is to be torn down; the log says why.</summary>
    internal static bool Start(Guest guest)
    {
        if (guest.Bundle.Length == 0 || guest.Bundle.Open(out BundleReader bundle) != BundleStatus.Ok)
        {
            return Fail(guest, "its boot bundle is gone or broken"u8);
        }

        if (!bundle.IsIntact(guest.Record.Kernel) || !bundle.IsIntact(guest.Record.Ramdisk))
        {
            return Fail(guest, "its kernel or ramdisk in the boot bundle is damaged"u8);
        }

        if (!CreateDomain(guest))
        {
            return Fail(guest, "not enough memory for its records"u8);
        }

        Domain domain = guest.Domain!;
        if (!TryShareInfo(domain)
            || ServiceChannels.AllocateUnbound(domain, out uint storePort) != 0
            || ServiceChannels.AllocateUnbound(domain, out uint consolePort) != 0)
        {
            return Fail(guest, "not enough memory for its shared pages"u8);
        }

        BuildRequest request = new()
        {
            Kernel = bundle.Content(guest.Record.Kernel),
            Ramdisk = bundle.Content(guest.Record.Ramdisk),
            CommandLine = bundle.Content(guest.Record.CommandLine),
            Pages = guest.Record.MemoryKiB * BytesPerKiB >> Cpu.PageShift,
            StorePort = storePort,
            ConsolePort = consolePort,
        };
        domain.HasClaim = true;
        BuildStatus status = DomainBuilder.Build(domain, in request, out BuildResult result);
        domain.HasClaim = false;
        if (status != BuildStatus.Ok)
        {
            return Fail(guest, BuildStatusText.Describe(status));
        }

        domain.Grants!.Preset(ReservedConsole, DomainId.Services, result.ConsoleFrame);
        domain.Grants.Preset(ReservedStore, DomainId.Services, result.StoreFrame);
        if (!TryConnectStore(guest, domain, result.StoreFrame, storePort))
        {
            return Fail(guest, "xenstore cannot take it"u8);
        }

        if (!guest.Devices.CreateAll(bundle, domain, result.ConsoleFrame, consolePort))
        {
            return false;
        }

        Run(domain);
        return true;
    }

    private static bool TryConnectStore(Guest guest, Domain domain, ulong frame, uint port)
    {
        if (!guest.Arena.TryEnter(StoreService.ObjectSize))
        {
            return false;
        }

        StoreService.Acquire();
        bool connected = StoreService.Connect(domain, in guest.Record, frame, port);
        StoreService.Release();
        guest.Arena.Leave();
        return connected;
    }

    private static bool CreateDomain(Guest guest)
    {
        if (!guest.Arena.TryEnter(Domain.ObjectSize))
        {
            return false;
        }

        Domain domain = new(NextDomainId(), (int)guest.Record.MaximumVcpus);
        guest.Arena.Leave();

        // The table of owners outlives the domain.
        if (!Memory.PlaceArena.TryEnter(FrameOwners.ObjectSize))
        {
            guest.Arena.Release();
            return false;
        }

        FrameOwners.CreateEntry(domain);
        Memory.PlaceArena.Leave();
        guest.Domain = domain;
        bool isCounted = Scheduler.CountTimers(domain.Vcpus.Length);
        domain.SetName(guest.Name);
        ((ReadOnlySpan<byte>)guest.Record.Uuid).CopyTo(domain.Uuid);
        domain.MaximumFrames = guest.Record.MaximumMemoryKiB * BytesPerKiB >> Cpu.PageShift;
        domain.Observer = guest;
        domain.Share.Set(guest.Record.Weight, guest.Record.Cap, SystemTime.Now);
        return isCounted && CreateTables(guest, domain) && CreateVcpus(guest, domain);
    }

    private static bool CreateTables(Guest guest, Domain domain)
    {
        if (!guest.Arena.TryEnter(Domain.ObjectSize))
        {
            return false;
        }

        domain.CreateEventChannels();
        bool created = domain.CreateGrantTable();
        guest.Arena.Leave();
        return created;
    }

    private static bool CreateVcpus(Guest guest, Domain domain)
    {
        for (int i = 0; i < domain.Vcpus.Length; i++)
        {
            if (!guest.Arena.TryEnter(Vcpu.ObjectSize))
            {
                return false;
            }

            bool created = CreateVcpu(domain, i, AffinityOf(guest, i));
            guest.Arena.Leave();
            if (!created)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>CPUs that the configuration allows a vCPU; those that L0 does not have are not counted.</summary>
    private static CpuSet AffinityOf(Guest guest, int vcpu)
    {
        ref readonly BootBundleGuest record = ref guest.Record;
        if (record.AffinityCount == 0)
        {
            return default;
        }

        Check.That(guest.Bundle.Open(out BundleReader bundle) == BundleStatus.Ok);
        uint index = record.FirstAffinity + (record.AffinityCount == 1 ? 0 : (uint)vcpu);
        BootBundleAffinity affinity = bundle.Affinity((int)index);
        return new CpuSet { Low = affinity[0], High = affinity[1] };
    }

    private static bool CreateVcpu(Domain domain, int id, CpuSet affinity)
    {
        if (!FrameAllocator.TryAllocate(VcpuState.Order, ulong.MaxValue, out ulong frame))
        {
            return false;
        }

        for (ulong i = 0; i < 1UL << VcpuState.Order; i++)
        {
            PhysicalMemory.ZeroFrame(frame + i);
        }

        Vcpu vcpu = new(domain, id, frame);
        vcpu.State.SetOwner(vcpu);
        if (!Scheduler.Add(vcpu, affinity) && id == 0)
        {
            Log.Line("guest "u8).Quoted(domain.Name).Text(": L0 has none of the CPUs that it is to run on; it runs on all"u8).End();
        }

        domain.Vcpus[id] = vcpu;
        return true;
    }

    private static bool TryShareInfo(Domain domain)
    {
        if (!FrameAllocator.TryAllocateZeroed(out ulong frame))
        {
            return false;
        }

        SharedFrames.Share(frame, domain, readOnly: false);
        domain.SharedInfoFrame = frame;
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            vcpu!.Info.UseSharedInfo(vcpu);
        }

        return true;
    }

    private static void Run(Domain domain)
    {
        VcpuTime.WriteWallClock(domain.SharedInfoFrame << Cpu.PageShift);
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu!.Info.Address != 0)
            {
                VcpuTime.Update(vcpu);
            }
        }

        Scheduler.SetDown(domain.Vcpus[0]!, false);
    }

    // Ids of domains that are gone come back only after all others had their turn.
    private static ushort NextDomainId()
    {
        do
        {
            s_lastDomainId = s_lastDomainId + 1 >= DomainId.Services ? (ushort)1 : (ushort)(s_lastDomainId + 1);
        }
        while (FrameOwners.Find(s_lastDomainId) != null);
        return s_lastDomainId;
    }

    private static bool Fail(Guest guest, ReadOnlySpan<byte> reason)
    {
        Log.Line("guest "u8).Quoted(guest.Name).Text(" cannot be started: "u8).Text(reason).End();
        return false;
    }
}
