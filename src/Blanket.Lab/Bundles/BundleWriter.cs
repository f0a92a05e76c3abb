using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Blanket.Abi;
using Blanket.Core.Bundles;
using Blanket.Lab.Configuration;

namespace Blanket.Lab.Bundles;

/// <summary>A guest with the content of its files.</summary>
/// <param name="Plan">The guest in its machine.</param>
/// <param name="Kernel">An ELF file.</param>
/// <param name="Ramdisk">As it is handed to the kernel, or null.</param>
public sealed record BundledGuest(PlannedGuest Plan, byte[] Kernel, byte[]? Ramdisk);

/// <summary>Writes boot bundles (Blanket.Abi, <see cref="BootBundle"/>). The same content is stored once.</summary>
public sealed class BundleWriter
{
    private readonly List<byte[]> _blobs = [];
    private readonly Dictionary<string, uint> _blobByDigest = new(StringComparer.Ordinal);
    private readonly List<BootBundleGuest> _guests = [];
    private readonly List<BootBundleDisk> _disks = [];
    private readonly List<BootBundleVif> _vifs = [];
    private readonly List<BootBundleBridge> _bridges = [];
    private readonly List<BootBundleAffinity> _affinities = [];
    private readonly MachinePlan _plan;

    private BundleWriter(MachinePlan plan) => _plan = plan;

    /// <summary>A whole bundle.</summary>
    /// <param name="plan">The machine.</param>
    /// <param name="guests">Its guests in the plan's order, with content.</param>
    /// <param name="options">Global options, as on a kernel command line.</param>
    /// <exception cref="InputException">Something is larger than a bundle can hold.</exception>
    public static byte[] Write(MachinePlan plan, IReadOnlyList<BundledGuest> guests, string options)
    {
        BundleWriter writer = new(plan);
        writer.AddBridges();
        foreach (BundledGuest guest in guests)
        {
            writer.AddGuest(guest);
        }

        uint optionsBlob = writer.AddText(options, BootBundle.MaximumOptions, "the text of global options");
        return writer.Assemble(optionsBlob);
    }

    private static void CopyText(string text, Span<byte> field) => Encoding.ASCII.GetBytes(text, field);

    private static ulong Align(ulong value) => (value + BootBundle.Alignment - 1) & ~(BootBundle.Alignment - 1UL);

    private void AddBridges()
    {
        for (int i = 0; i < _plan.Bridges.Count; i++)
        {
            BootBundleBridge bridge = new() { Nic = (uint)i };
            CopyText(_plan.Bridges[i], bridge.Name);
            _bridges.Add(bridge);
        }
    }

    private uint AddBlob(byte[] content)
    {
        if (content.Length == 0)
        {
            return BootBundle.None;
        }

        string digest = Convert.ToHexString(SHA256.HashData(content));
        if (!_blobByDigest.TryGetValue(digest, out uint index))
        {
            index = (uint)_blobs.Count;
            _blobs.Add(content);
            _blobByDigest.Add(digest, index);
        }

        return index;
    }

    private uint AddText(string text, int maximum, string what)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return bytes.Length <= maximum && !text.Contains('\0', StringComparison.Ordinal)
            ? AddBlob(bytes)
            : throw new InputException($"{what} has {bytes.Length} bytes, expected at most {maximum} and no NUL");
    }

    private void AddGuest(BundledGuest bundled)
    {
        GuestConfiguration guest = bundled.Plan.Configuration;
        BootBundleGuest record = new()
        {
            MemoryKiB = (ulong)guest.MemoryMiB * 1024,
            MaximumMemoryKiB = (ulong)guest.MaximumMemoryMiB * 1024,
            MinimumMemoryKiB = (ulong)guest.MinimumMemoryMiB * 1024,
            Vcpus = (uint)guest.Vcpus,
            MaximumVcpus = (uint)guest.MaximumVcpus,
            Kernel = AddBlob(bundled.Kernel),
            Ramdisk = bundled.Ramdisk is null ? BootBundle.None : AddBlob(bundled.Ramdisk),
            CommandLine = AddText(guest.CommandLine, BootBundle.MaximumCommandLine, $"the command line of {guest.Name}"),
            OnPoweroff = guest.OnPoweroff,
            OnReboot = guest.OnReboot,
            OnCrash = guest.OnCrash,
            OnWatchdog = guest.OnWatchdog,
            Weight = guest.Weight,
            Cap = guest.Cap,
            FirstAffinity = (uint)_affinities.Count,
            AffinityCount = (uint)guest.Affinities.Count,
            FirstDisk = (uint)_disks.Count,
            DiskCount = (uint)guest.Disks.Count,
            FirstVif = (uint)_vifs.Count,
            VifCount = (uint)guest.Vifs.Count,
            ConsolePort = bundled.Plan.ConsolePort,
        };
        CopyText(guest.Name, record.Name);
        guest.Uuid.TryWriteBytes(record.Uuid, bigEndian: true, out _);
        _guests.Add(record);
        _affinities.AddRange(guest.Affinities.Select(cpus => cpus.ToRecord()));
        _disks.AddRange(bundled.Plan.Disks.Select(ToRecord));
        _vifs.AddRange(guest.Vifs.Select(ToRecord));
    }

    private static BootBundleDisk ToRecord(PlannedDisk disk)
    {
        DiskSpecification specification = disk.Specification;
        BootBundleDisk record = new()
        {
            VirtualDevice = specification.Device.Number,
            Flags = (specification.ReadOnly ? BootBundle.DiskReadOnly : 0) | (specification.Discard ? 0 : BootBundle.DiskNoDiscard),
            BytesPerSecond = specification.Limit.BytesPerSecond,
            RequestsPerSecond = specification.Limit.RequestsPerSecond,
        };
        CopyText(specification.Device.Name, record.Name);
        CopyText(disk.Serial, record.Serial);
        return record;
    }

    private BootBundleVif ToRecord(VifSpecification vif)
    {
        BootBundleVif record = new()
        {
            Mtu = vif.Mtu ?? 0,
            Bridge = (uint)_plan.Bridges.ToList().IndexOf(vif.Bridge),
            DeviceId = vif.DeviceId,
            RateBytes = vif.Rate?.BytesPerInterval ?? 0,
            RateIntervalMicroseconds = vif.Rate?.IntervalMicroseconds ?? 0,
            AddressCount = (uint)vif.Addresses.Count,
        };
        vif.Mac.ToBytes().CopyTo(record.Mac);
        for (int i = 0; i < vif.Addresses.Count; i++)
        {
            record.Addresses[i] = ToRecord(vif.Addresses[i]);
        }

        return record;
    }

    private static BootBundleAddress ToRecord(IPNetwork network)
    {
        BootBundleAddress record = new()
        {
            Family = network.BaseAddress.AddressFamily == AddressFamily.InterNetwork ? BootBundle.AddressIPv4 : BootBundle.AddressIPv6,
            PrefixLength = (byte)network.PrefixLength,
        };
        network.BaseAddress.TryWriteBytes(record.Bytes, out _);
        return record;
    }

    private byte[] Assemble(uint options)
    {
        BootBundleHeader header = new()
        {
            Magic = BootBundle.Magic,
            Version = BootBundle.Version,
            HeaderSize = (uint)Unsafe.SizeOf<BootBundleHeader>(),
            Options = options,
        };
        uint end = header.HeaderSize;
        header.Blobs = Place<BootBundleBlob>(_blobs.Count, ref end);
        header.Guests = Place<BootBundleGuest>(_guests.Count, ref end);
        header.Disks = Place<BootBundleDisk>(_disks.Count, ref end);
        header.Vifs = Place<BootBundleVif>(_vifs.Count, ref end);
        header.Bridges = Place<BootBundleBridge>(_bridges.Count, ref end);
        header.Affinities = Place<BootBundleAffinity>(_affinities.Count, ref end);
        header.MetadataSize = Align(end);
        BootBundleBlob[] blobs = PlaceBlobs(header.MetadataSize, out header.TotalSize);
        byte[] bundle = new byte[header.TotalSize];
        Copy(blobs, bundle, header.Blobs);
        Copy(CollectionsMarshal.AsSpan(_guests), bundle, header.Guests);
        Copy(CollectionsMarshal.AsSpan(_disks), bundle, header.Disks);
        Copy(CollectionsMarshal.AsSpan(_vifs), bundle, header.Vifs);
        Copy(CollectionsMarshal.AsSpan(_bridges), bundle, header.Bridges);
        Copy(CollectionsMarshal.AsSpan(_affinities), bundle, header.Affinities);
        for (int i = 0; i < blobs.Length; i++)
        {
            _blobs[i].CopyTo(bundle.AsSpan((int)blobs[i].Offset));
        }

        MemoryMarshal.Write(bundle, header);
        int field = (int)Marshal.OffsetOf<BootBundleHeader>(nameof(BootBundleHeader.MetadataChecksum));
        header.MetadataChecksum = BundleChecksum.OfMetadata(bundle.AsSpan(0, (int)header.MetadataSize), field);
        MemoryMarshal.Write(bundle, header);
        return bundle;
    }

    /// <summary>Gives a table its place at <paramref name="end"/> and moves that behind the table.</summary>
    private static BootBundleTable Place<T>(int count, ref uint end)
        where T : struct
    {
        const uint tableAlignment = 8;
        BootBundleTable table = new() { Offset = (end + tableAlignment - 1) / tableAlignment * tableAlignment, Count = (uint)count };
        end = table.Offset + (table.Count * (uint)Unsafe.SizeOf<T>());
        return table;
    }

    private BootBundleBlob[] PlaceBlobs(ulong start, out ulong end)
    {
        BootBundleBlob[] blobs = new BootBundleBlob[_blobs.Count];
        end = start;
        for (int i = 0; i < blobs.Length; i++)
        {
            byte[] content = _blobs[i];
            blobs[i] = new BootBundleBlob { Offset = end, Length = (ulong)content.Length, Checksum = BundleChecksum.OfBlob(content) };
            end = Align(end + (ulong)content.Length);
        }

        return end <= BootBundle.MaximumSize
            ? blobs
            : throw new InputException($"kernels and ramdisks need {end >> 20} MiB, expected less than {BootBundle.MaximumSize >> 20} MiB");
    }

    private static void Copy<T>(ReadOnlySpan<T> records, byte[] bundle, BootBundleTable table)
        where T : struct =>
        MemoryMarshal.AsBytes(records).CopyTo(bundle.AsSpan((int)table.Offset));
}
