using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Services;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Kernel.Management;

/// <summary>What an operator may do to a running guest, as Xen's toolstack does it, and what he may know of it.</summary>
internal static class GuestControl
{
    private const int PathSize = 64;
    private const int KiBPerFrame = (int)(Cpu.PageSize >> 10);

    // A guest may own this much more than memory/target, as with libxl (LIBXL_MAXMEM_CONSTANT): its kernel needs some pages to give others up.
    private const ulong SlackKiB = 1024;

    /// <summary>Carries a request out.</summary>
    /// <returns>
    /// 0 or a negative errno: -EINVAL (value), -EEXIST (paused already), -ENOSYS, those of <see cref="MemoryBalancer.SetWish"/>, or why xenstore refused.
    /// </returns>
    internal static int Change(Guest guest, ManagementCommand command, ulong value)
    {
        switch (command)
        {
            case ManagementCommand.Pause:
                return SetPaused(guest, true);
            case ManagementCommand.Unpause:
                return SetPaused(guest, false);
            case ManagementCommand.PowerOff:
                return Write(guest.Domain!, "control/shutdown"u8, "poweroff"u8);
            case ManagementCommand.Reboot:
                return Write(guest.Domain!, "control/shutdown"u8, "reboot"u8);
            case ManagementCommand.SetMemory:
                return IsMemory(guest, value) ? MemoryBalancer.SetWish(guest, value / KiBPerFrame) : -Errno.EINVAL;
            case ManagementCommand.SetMinimum:
                return SetMinimum(guest, value);
            case ManagementCommand.SetVcpus:
                return SetVcpus(guest, value);
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>Tells everything about a guest with a domain.</summary>
    internal static void Describe(Guest guest, out ManagementGuest record)
    {
        Domain domain = guest.Domain!;
        record = new ManagementGuest
        {
            Name = guest.Record.Name,
            DomainId = domain.Id,
            State = StateOf(guest),
            Vcpus = (ushort)domain.Vcpus.Length,
            MemoryKiB = domain.FrameCount * KiBPerFrame,
            MaximumKiB = guest.Record.MaximumMemoryKiB,
            TargetKiB = ReadTarget(domain),
            WishKiB = guest.Wish * KiBPerFrame,
            MinimumKiB = guest.Floor * KiBPerFrame,
        };
        ulong now = SystemTime.Now;
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                RunQueue.ReadTimes(vcpu, out VcpuRunStateInfo times);
                record.CpuTime += times.TimeRunning;
                if (times.State == (int)RunState.Running && now > times.StateEntryTime)
                {
                    record.CpuTime += now - times.StateEntryTime;
                }

                record.OnlineVcpus += vcpu.Schedule.IsDown ? (ushort)0 : (ushort)1;
            }
        }

        AddDevices(guest, ref record);
    }

    /// <summary>Tells what there is to tell of a guest whose start waits for memory or is under way.</summary>
    internal static void DescribeStart(Guest guest, out ManagementGuest record) => record = new ManagementGuest
    {
        Name = guest.Record.Name,
        DomainId = guest.Domain?.Id ?? 0,
        State = guest.State == GuestState.Waiting ? ManagementGuestState.Waiting : ManagementGuestState.Starting,
        MemoryKiB = (guest.Domain?.FrameCount ?? 0) * KiBPerFrame,
        Vcpus = (ushort)guest.Record.MaximumVcpus,
        MaximumKiB = guest.Record.MaximumMemoryKiB,
        WishKiB = guest.Record.MemoryKiB,
        MinimumKiB = guest.Record.MinimumMemoryKiB,
    };

    private static void AddDevices(Guest guest, ref ManagementGuest record)
    {
        Span<ManagementDevice> devices = stackalloc ManagementDevice[GuestDevices.Maximum];
        int count = guest.Devices.Describe(devices);
        for (int i = 0; i < count; i++)
        {
            ref readonly ManagementDevice device = ref devices[i];
            if (device.Kind == ManagementDeviceKind.Disk)
            {
                record.Reads += device.InCount;
                record.ReadBytes += device.InBytes;
                record.Writes += device.OutCount;
                record.WrittenBytes += device.OutBytes;
            }
            else
            {
                record.ReceivedPackets += device.InCount;
                record.ReceivedBytes += device.InBytes;
                record.SentPackets += device.OutCount;
                record.SentBytes += device.OutBytes;
                record.DroppedPackets += device.Failed;
                record.RejectedPackets += device.Other;
            }
        }
    }

    private static ManagementGuestState StateOf(Guest guest) => guest.State switch
    {
        GuestState.Running => guest.IsPaused ? ManagementGuestState.Paused : ManagementGuestState.Running,
        GuestState.Ended => ManagementGuestState.Stopped,
        GuestState.Preserved => ManagementGuestState.Preserved,
        _ => ManagementGuestState.Dying,
    };

    private static int SetPaused(Guest guest, bool paused)
    {
        if (guest.IsPaused == paused)
        {
            return paused ? -Errno.EEXIST : -Errno.EINVAL;
        }

        guest.IsPaused = paused;
        foreach (Vcpu? vcpu in guest.Domain!.Vcpus)
        {
            if (vcpu == null)
            {
                continue;
            }

            if (paused)
            {
                Scheduler.Pause(vcpu);
            }
            else
            {
                Scheduler.Unpause(vcpu);
            }
        }

        return 0;
    }

    /// <summary>Sets the balloon's target, in frames, and lets the guest own that much and a little more, whatever it owns now (libxl_set_memory_target).</summary>
    /// <returns>0, or why xenstore refused.</returns>
    internal static int SetTarget(Guest guest, ulong frames)
    {
        Span<byte> digits = stackalloc byte[PathBuilder.DecimalMax];
        PathBuilder number = new(digits);
        number.AppendDecimal(frames * KiBPerFrame);
        int error = Write(guest.Domain!, "memory/target"u8, number.Text);
        if (error == 0)
        {
            guest.Target = frames;
            guest.Domain!.MaximumFrames = Math.Min((frames * KiBPerFrame) + SlackKiB, guest.Record.MaximumMemoryKiB) / KiBPerFrame;
        }

        return error;
    }

    private static int SetMinimum(Guest guest, ulong kib)
    {
        if (!IsMemory(guest, kib))
        {
            return -Errno.EINVAL;
        }

        guest.Floor = kib / KiBPerFrame;
        return 0;
    }

    private static bool IsMemory(Guest guest, ulong kib) => kib != 0 && kib % KiBPerFrame == 0 && kib <= guest.Record.MaximumMemoryKiB;

    private static int SetVcpus(Guest guest, ulong count)
    {
        Domain domain = guest.Domain!;
        if (count == 0 || count > (ulong)domain.Vcpus.Length)
        {
            return -Errno.EINVAL;
        }

        Span<byte> buffer = stackalloc byte[PathSize];
        int error = 0;
        for (int i = 0; i < domain.Vcpus.Length && error == 0; i++)
        {
            PathBuilder name = new(buffer);
            name.Append("cpu"u8);
            name.AppendName((ulong)(uint)i);
            name.Append("/availability"u8);
            error = Write(domain, name.Text, (ulong)(uint)i < count ? "online"u8 : "offline"u8);
        }

        return error;
    }

    /// <summary>Changes the CPUs that a vCPU, or all of them, may run on.</summary>
    /// <returns>0, or -EINVAL when there is no such vCPU or none of the CPUs.</returns>
    internal static int Pin(Guest guest, ulong number, in BootBundleAffinity cpus)
    {
        Vcpu?[] vcpus = guest.Domain!.Vcpus;
        if (number != ManagementPin.AllVcpus && number >= (ulong)vcpus.Length)
        {
            return -Errno.EINVAL;
        }

        CpuSet affinity = new() { Low = cpus[0], High = cpus[1] };
        foreach (Vcpu? vcpu in vcpus)
        {
            bool isMeant = vcpu != null && (number == ManagementPin.AllVcpus || number == (ulong)(uint)vcpu.Id);
            if (isMeant && (affinity.IsEmpty || !Scheduler.SetAffinity(vcpu!, affinity)))
            {
                return -Errno.EINVAL;
            }
        }

        return 0;
    }

    private static ulong ReadTarget(Domain domain)
    {
        PathBuilder path = new(stackalloc byte[PathSize]);
        path.AppendHome(domain.Id);
        path.AppendName("memory/target"u8);
        StoreService.Acquire();
        StoreService.Client.ReadNumber(path.Text, out ulong target);
        StoreService.Release();
        return target;
    }

    private static int Write(Domain domain, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        PathBuilder path = new(stackalloc byte[PathSize]);
        path.AppendHome(domain.Id);
        path.AppendName(name);
        StoreService.Acquire();
        XenStoreError error = StoreService.Client.Write(path.Text, value);
        StoreService.Release();
        return -(int)error;
    }
}
