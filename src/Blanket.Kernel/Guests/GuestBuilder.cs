using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Bundles;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// Makes a guest's domain, step by step, so that other guests run in between: what a toolstack does for a PV domain (docs/architecture.md,
/// "Starting a guest").
/// </summary>
internal static class GuestBuilder
{
    private const uint ReservedConsole = 0;
    private const uint ReservedStore = 1;
    private const ulong BytesPerKiB = 1024;
    private static ushort s_lastDomainId;

    /// <summary>Goes on with the start of a guest, of the frames that are claimed for it, until work is pending on this CPU.</summary>
    internal static StartResult Run(Guest guest)
    {
        StartResult result = RunSteps(guest, ref guest.Start);
        if (result == StartResult.Failed)
        {
            EndClaim(guest);
        }

        return result;
    }

    /// <summary>Ends an unfinished start; the guest's domain, if it has one, is to be torn down.</summary>
    internal static void Abandon(Guest guest)
    {
        if (guest.Start.Step == StartStep.Memory)
        {
            DomainBuilder.Abandon(ref guest.Start.Build);
        }

        EndClaim(guest);
    }

    private static void EndClaim(Guest guest)
    {
        if (guest.Domain != null)
        {
            guest.Domain.HasClaim = false;
        }
    }

    private static StartResult RunSteps(Guest guest, ref GuestStart start)
    {
        while (true)
        {
            StartResult result = RunStep(guest, ref start);
            if (result != StartResult.Done || start.Step == StartStep.Devices)
            {
                return result;
            }

            start.Step++;
            if (Preemption.IsNeeded)
            {
                return StartResult.Unfinished;
            }
        }
    }

    private static StartResult RunStep(Guest guest, ref GuestStart start) => start.Step switch
    {
        StartStep.Bundle => OpenBundle(guest, ref start),
        StartStep.Kernel => Compare(guest, ref start, in start.Kernel),
        StartStep.Ramdisk => Compare(guest, ref start, in start.Ramdisk),
        StartStep.Domain => MakeDomain(guest, ref start),
        StartStep.Plan => Plan(guest, ref start),
        StartStep.Memory => BuildMemory(guest, ref start),
        _ => Connect(guest, ref start),
    };

    private static StartResult OpenBundle(Guest guest, ref GuestStart start)
    {
        if (guest.Bundle.Length == 0 || guest.Bundle.Open(out BundleReader bundle) != BundleStatus.Ok)
        {
            return Fail(guest, "its boot bundle is gone or broken"u8);
        }

        start.Kernel = bundle.Blob(guest.Record.Kernel);
        start.Ramdisk = bundle.Blob(guest.Record.Ramdisk);
        start.CommandLine = bundle.Blob(guest.Record.CommandLine);
        return StartResult.Done;
    }

    private static StartResult Compare(Guest guest, ref GuestStart start, in BootBundleBlob blob)
    {
        if (blob.Length != 0)
        {
            if (!start.Checksum.TryAdd(guest.Bundle.Content(in blob)))
            {
                return StartResult.Unfinished;
            }

            if (start.Checksum.Value != blob.Checksum)
            {
                return Fail(guest, "its kernel or ramdisk in the boot bundle is damaged"u8);
            }
        }

        start.Checksum = default;
        return StartResult.Done;
    }

    private static StartResult MakeDomain(Guest guest, ref GuestStart start)
    {
        if (!CreateDomain(guest))
        {
            return Fail(guest, "not enough memory for its records"u8);
        }

        Domain domain = guest.Domain!;
        return TryShareInfo(domain)
            && ServiceChannels.AllocateUnbound(domain, out start.StorePort) == 0
            && ServiceChannels.AllocateUnbound(domain, out start.ConsolePort) == 0
            ? StartResult.Done
            : Fail(guest, "not enough memory for its shared pages"u8);
    }

    private static StartResult Plan(Guest guest, ref GuestStart start)
    {
        BuildRequest request = RequestOf(guest, in start);
        BuildStatus status = DomainBuilder.Begin(in request, out start.Build);
        guest.Domain!.HasClaim = true;
        return status == BuildStatus.Ok ? StartResult.Done : Fail(guest, BuildStatusText.Describe(status));
    }

    private static StartResult BuildMemory(Guest guest, ref GuestStart start)
    {
        BuildRequest request = RequestOf(guest, in start);
        BuildStatus status = DomainBuilder.Continue(guest.Domain!, in request, ref start.Build, out start.Built);
        if (status == BuildStatus.Unfinished)
        {
            return StartResult.Unfinished;
        }

        return status == BuildStatus.Ok ? StartResult.Done : Fail(guest, BuildStatusText.Describe(status));
    }

    private static BuildRequest RequestOf(Guest guest, in GuestStart start) => new()
    {
        Kernel = guest.Bundle.Content(in start.Kernel),
        Ramdisk = guest.Bundle.Content(in start.Ramdisk),
        CommandLine = guest.Bundle.Content(in start.CommandLine),
        Pages = guest.Record.MemoryKiB * BytesPerKiB >> Cpu.PageShift,
        StorePort = start.StorePort,
        ConsolePort = start.ConsolePort,
    };

    private static StartResult Connect(Guest guest, ref GuestStart start)
    {
        Domain domain = guest.Domain!;
        EndClaim(guest);
        domain.Grants!.Preset(ReservedConsole, DomainId.Services, start.Built.ConsoleFrame);
        domain.Grants.Preset(ReservedStore, DomainId.Services, start.Built.StoreFrame);
        if (!TryConnectStore(guest, domain, start.Built.StoreFrame, start.StorePort))
        {
            return Fail(guest, "xenstore cannot take it"u8);
        }

        if (guest.Bundle.Open(out BundleReader bundle) != BundleStatus.Ok
            || !guest.Devices.CreateAll(bundle, domain, start.Built.ConsoleFrame, start.ConsolePort))
        {
            return StartResult.Failed;
        }

        // It may stop before this returns.
        guest.State = GuestState.Running;
        Run(domain);
        return StartResult.Done;
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

    private static StartResult Fail(Guest guest, ReadOnlySpan<byte> reason)
    {
        Log.Line("guest "u8).Quoted(guest.Name).Text(" cannot be started: "u8).Text(reason).End();
        return StartResult.Failed;
    }
}
