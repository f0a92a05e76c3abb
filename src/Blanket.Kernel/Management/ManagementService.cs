using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Drivers;
using Blanket.Drivers.Xen.Console;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Xen;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Management;

/// <summary>What an operator's command asks of the running hypervisor (docs/management.md). On the CPU of <see cref="GuestManager"/>.</summary>
internal static class ManagementService
{
    private const int BytesOfPosition = sizeof(ulong);
    private const int FramesPerKiBShift = Cpu.PageShift - 10;

    private static ManagementChannel? s_channel;
    private static OperatorKeys? s_keys;

    // The bundle that is coming in, and how much of it is there.
    private static BundleMemory s_upload;
    private static int s_uploaded;

    /// <summary>Listens on L0's ports for it, where there are any; once at boot, in an allocation scope, when devices were found.</summary>
    internal static void Initialize()
    {
        XenConsole? line = XenPlatform.Console;
        ConsolePort? port = line != null ? CreatePort(line) : DeviceRegistry.Found.FindConsole(Abi.Management.PortName);
        if (port != null && port.Client == null)
        {
            s_channel = new ManagementChannel(port);
        }

        ConsolePort? console = line != null ? line.Log : DeviceRegistry.Found.FindConsole("blanket.console"u8);
        if (console != null && console.Client == null)
        {
            s_keys = new OperatorKeys(console);
        }
    }

    private static XenConsolePort? CreatePort(XenConsole line)
    {
        XenConsolePort? port = line.CreatePort();
        return port != null && port.TryTake(Abi.Management.SharedLinePort) ? port : null;
    }

    /// <summary>Handles what has come in.</summary>
    internal static void Process()
    {
        s_keys?.Process();
        if (s_channel != null && s_channel.TryTake(out ManagementHeader request))
        {
            int length = 0;
            int status = request.Status != 0 ? -Errno.EINVAL : Handle(request.Command, s_channel.Request, s_channel.Answer, out length);
            s_channel.Reply(in request, status, status == 0 ? length : 0);
        }
    }

    private static int Handle(ManagementCommand command, ReadOnlySpan<byte> request, Span<byte> answer, out int length)
    {
        length = 0;
        switch (command)
        {
            case ManagementCommand.Describe:
                return request.IsEmpty ? Describe(answer, out length) : -Errno.EINVAL;
            case ManagementCommand.List:
                return request.IsEmpty ? List(answer, out length) : -Errno.EINVAL;
            case ManagementCommand.Log:
                return ReadLog(request, answer, out length);
            case ManagementCommand.DebugKeys:
                return ShowKeys(request);
            case ManagementCommand.Audit:
                return request.IsEmpty ? TakeAudit(answer, out length) : -Errno.EINVAL;
            case ManagementCommand.Shutdown:
                return request.IsEmpty ? EndAll() : -Errno.EINVAL;
            case ManagementCommand.BundleBegin:
                return BeginBundle(request);
            case ManagementCommand.BundleData:
                return TakeBundleData(request);
            case ManagementCommand.BundleStart:
                return request.IsEmpty ? StartBundle() : -Errno.EINVAL;
            case ManagementCommand.SetMemoryPolicy:
                return SetMemoryPolicy(request);
            case ManagementCommand.PinVcpu:
                return Pin(request);
            default:
                return HandleGuest(command, request, answer, out length);
        }
    }

    private static int HandleGuest(ManagementCommand command, ReadOnlySpan<byte> request, Span<byte> answer, out int length)
    {
        length = 0;
        if (command is < ManagementCommand.Pause or > ManagementCommand.Devices and not ManagementCommand.SetMinimum)
        {
            return -Errno.ENOSYS;
        }

        if (request.Length != Unsafe.SizeOf<ManagementTarget>())
        {
            return -Errno.EINVAL;
        }

        ManagementTarget target = MemoryMarshal.Read<ManagementTarget>(request);
        Guest? guest = Find(target.Name);
        if (guest == null)
        {
            return -Errno.ESRCH;
        }

        switch (command)
        {
            case ManagementCommand.Destroy:
                GuestManager.Destroy(guest);
                return 0;
            case ManagementCommand.Devices:
                Span<ManagementDevice> devices = MemoryMarshal.Cast<byte, ManagementDevice>(answer);
                length = guest.Devices.Describe(devices) * Unsafe.SizeOf<ManagementDevice>();
                return 0;
            default:
                return guest.State == GuestState.Running ? GuestControl.Change(guest, command, target.Value) : -Errno.EBUSY;
        }
    }

    private static int Pin(ReadOnlySpan<byte> request)
    {
        if (request.Length != Unsafe.SizeOf<ManagementPin>())
        {
            return -Errno.EINVAL;
        }

        ManagementPin pin = MemoryMarshal.Read<ManagementPin>(request);
        Guest? guest = Find(pin.Name);
        if (guest == null)
        {
            return -Errno.ESRCH;
        }

        return IsComing(guest) ? -Errno.EBUSY : GuestControl.Pin(guest, pin.Vcpu, in pin.Cpus);
    }

    private static int SetMemoryPolicy(ReadOnlySpan<byte> request)
    {
        if (request.Length != sizeof(ulong))
        {
            return -Errno.EINVAL;
        }

        ulong policy = MemoryMarshal.Read<ulong>(request);
        if (policy > (ulong)ManagementMemoryPolicy.Share)
        {
            return -Errno.EINVAL;
        }

        MemoryBalancer.SetPolicy((ManagementMemoryPolicy)policy);
        return 0;
    }

    /// <summary>The guest of a name, if it has a domain or is to get one.</summary>
    private static Guest? Find(in BootBundleName text)
    {
        ReadOnlySpan<byte> name = text;
        int end = name.IndexOf((byte)0);
        Guest? guest = end <= 0 ? null : GuestManager.Find(name.Slice(0, end));
        return guest == null || (guest.Domain == null && !IsComing(guest)) ? null : guest;
    }

    private static bool IsComing(Guest guest) => guest.State is GuestState.Waiting or GuestState.Starting;

    private static int Describe(Span<byte> answer, out int length)
    {
        ManagementInstance instance = new()
        {
            Uptime = SystemTime.Now,
            MemoryKiB = FrameAllocator.TotalFrames << FramesPerKiBShift,
            FreeKiB = FrameAllocator.FreeFrames << FramesPerKiBShift,
            Cpus = (uint)Processors.OnlineCount,
            Disks = (uint)DeviceRegistry.Found.DiskCount,
            TableFrames = TableFrames.Count,
            ClaimedKiB = FrameAllocator.ClaimedFrames << FramesPerKiBShift,
            MemoryPolicy = MemoryBalancer.Policy,
        };
        for (int i = 0; i < DeviceRegistry.Found.DiskCount; i++)
        {
            instance.DisksInUse += DeviceRegistry.Found.Disk(i).Client != null ? 1u : 0;
        }

        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest != null && guest.IsConfigured && guest.Domain != null)
            {
                instance.Guests++;
                instance.EventChannels += (uint)(guest.Domain.Events?.ActivePorts ?? 0);
                instance.Grants += (uint)(guest.Domain.Grants?.EntriesInUse ?? 0);
            }
        }

        StoreService.Acquire();
        instance.StoreNodes = (uint)StoreService.Store.Usage.Nodes;
        StoreService.Release();
        MemoryMarshal.Write(answer, in instance);
        length = Unsafe.SizeOf<ManagementInstance>();
        return 0;
    }

    private static int EndAll()
    {
        GuestManager.EndAll();
        return 0;
    }

    private static int TakeAudit(Span<byte> answer, out int length)
    {
        Audit.Take(out ManagementAudit audit);
        Audit.Report(in audit);
        MemoryMarshal.Write(answer, in audit);
        length = Unsafe.SizeOf<ManagementAudit>();
        return 0;
    }

    private static int List(Span<byte> answer, out int length)
    {
        Span<ManagementGuest> records = MemoryMarshal.Cast<byte, ManagementGuest>(answer);
        int count = 0;
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == null || !guest.IsConfigured)
            {
                continue;
            }

            if (IsComing(guest))
            {
                GuestControl.DescribeStart(guest, out records[count++]);
            }
            else if (guest.Domain != null)
            {
                GuestControl.Describe(guest, out records[count++]);
            }
        }

        length = count * Unsafe.SizeOf<ManagementGuest>();
        return 0;
    }

    private static int ReadLog(ReadOnlySpan<byte> request, Span<byte> answer, out int length)
    {
        length = 0;
        if (request.Length != BytesOfPosition)
        {
            return -Errno.EINVAL;
        }

        ManagementLogPart part = default;
        part.Start = MemoryMarshal.Read<ulong>(request);
        int header = Unsafe.SizeOf<ManagementLogPart>();
        length = header + Log.Read(ref part.Start, out part.End, answer.Slice(header));
        MemoryMarshal.Write(answer, in part);
        return 0;
    }

    private static int ShowKeys(ReadOnlySpan<byte> keys)
    {
        if (keys.IsEmpty || keys.Length > Abi.Management.MaximumKeys)
        {
            return -Errno.EINVAL;
        }

        foreach (byte key in keys)
        {
            if (!DebugKeys.IsKnown(key))
            {
                return -Errno.EINVAL;
            }
        }

        foreach (byte key in keys)
        {
            DebugKeys.Show(key);
        }

        return 0;
    }

    private static int BeginBundle(ReadOnlySpan<byte> request)
    {
        if (request.Length != BytesOfPosition)
        {
            return -Errno.EINVAL;
        }

        ulong size = MemoryMarshal.Read<ulong>(request);
        s_upload.Free();
        s_uploaded = 0;
        if (size > BootBundle.MaximumSize)
        {
            return -Errno.EINVAL;
        }

        return size == 0 || BundleMemory.TryAllocate((int)size, out s_upload) ? 0 : -Errno.ENOMEM;
    }

    private static int TakeBundleData(ReadOnlySpan<byte> request)
    {
        if (request.Length <= BytesOfPosition
            || MemoryMarshal.Read<ulong>(request) != (ulong)s_uploaded
            || request.Length - BytesOfPosition > s_upload.Length - s_uploaded)
        {
            return -Errno.EINVAL;
        }

        ReadOnlySpan<byte> bytes = request.Slice(BytesOfPosition);
        bytes.CopyTo(s_upload.Bytes.Slice(s_uploaded));
        s_uploaded += bytes.Length;
        return 0;
    }

    private static int StartBundle()
    {
        if (s_upload.Length == 0 || s_uploaded != s_upload.Length)
        {
            return -Errno.EINVAL;
        }

        int error = GuestManager.Add(s_upload);
        if (error is 0 or -Errno.ENOEXEC)
        {
            // It is the guest's now.
            s_upload = default;
        }

        s_upload.Free();
        s_uploaded = 0;
        return error;
    }
}
