using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Bundles;

/// <summary>The rules of a boot bundle, as the record types in Blanket.Abi state them.</summary>
internal static class BundleValidation
{
    private const int ChecksumFieldOffset = 32;
    private const int RecordAlignment = 8;
    private const ulong KiBPerPage = 4;

    /// <summary>Largest memory size of a guest: 16 TiB, far from any overflow of byte counts.</summary>
    private const ulong MaximumMemoryKiB = 1UL << 34;

    private const ushort MinimumMtu = 68;
    private const ushort MaximumMtu = 65521;
    private const byte MulticastBit = 1;

    /// <summary>Size in bytes of a record.</summary>
    internal static int SizeOf<T>()
        where T : struct => Unsafe.SizeOf<T>();

    /// <summary>Reads the header and checks sizes, checksum and the places of the tables.</summary>
    internal static BundleStatus ReadHeader(ReadOnlySpan<byte> image, out BootBundleHeader header)
    {
        header = default;
        if (image.Length < SizeOf<BootBundleHeader>())
        {
            return BundleStatus.Truncated;
        }

        header = MemoryMarshal.Read<BootBundleHeader>(image);
        BundleStatus status = CheckSizes(header, (ulong)image.Length);
        if (status != BundleStatus.Ok)
        {
            return status;
        }

        if (BundleChecksum.OfMetadata(image.Slice(0, (int)header.MetadataSize), ChecksumFieldOffset) != header.MetadataChecksum)
        {
            return BundleStatus.BadChecksum;
        }

        return TablesFit(header) ? BundleStatus.Ok : BundleStatus.BadTable;
    }

    /// <summary>Checks every record of a bundle whose header passed <see cref="ReadHeader"/>.</summary>
    internal static BundleStatus CheckRecords(in BundleReader bundle, in BootBundleHeader header)
    {
        BundleStatus status = CheckBlobs(bundle, header);
        status = status == BundleStatus.Ok ? CheckOptions(bundle, header) : status;
        status = status == BundleStatus.Ok ? CheckBridges(bundle, header) : status;
        status = status == BundleStatus.Ok ? CheckGuests(bundle, header) : status;
        status = status == BundleStatus.Ok ? CheckAffinities(bundle, header) : status;
        status = status == BundleStatus.Ok ? CheckDisks(bundle, header) : status;
        return status == BundleStatus.Ok ? CheckVifs(bundle, header) : status;
    }

    private static BundleStatus CheckSizes(in BootBundleHeader header, ulong available)
    {
        if (header.Magic != BootBundle.Magic)
        {
            return BundleStatus.BadMagic;
        }

        if (header.Version != BootBundle.Version)
        {
            return BundleStatus.BadVersion;
        }

        bool possible = header.HeaderSize == (uint)SizeOf<BootBundleHeader>()
            && header.TotalSize <= BootBundle.MaximumSize
            && header.MetadataSize <= header.TotalSize
            && header.MetadataSize >= header.HeaderSize
            && header.MetadataSize % BootBundle.Alignment == 0
            && header.TotalSize % BootBundle.Alignment == 0;
        if (!possible)
        {
            return BundleStatus.BadHeader;
        }

        return header.TotalSize <= available ? BundleStatus.Ok : BundleStatus.Truncated;
    }

    private static bool TablesFit(in BootBundleHeader header) =>
        TableFits<BootBundleBlob>(header, header.Blobs, BootBundle.MaximumBlobs)
        && TableFits<BootBundleGuest>(header, header.Guests, BootBundle.MaximumGuests)
        && TableFits<BootBundleDisk>(header, header.Disks, BootBundle.MaximumDisks)
        && TableFits<BootBundleVif>(header, header.Vifs, BootBundle.MaximumVifs)
        && TableFits<BootBundleBridge>(header, header.Bridges, BootBundle.MaximumBridges)
        && TableFits<BootBundleAffinity>(header, header.Affinities, BootBundle.MaximumAffinities);

    private static bool TableFits<T>(in BootBundleHeader header, BootBundleTable table, uint maximum)
        where T : struct =>
        table.Count <= maximum
        && table.Offset % RecordAlignment == 0
        && table.Offset >= header.HeaderSize
        && table.Offset + ((ulong)table.Count * (uint)SizeOf<T>()) <= header.MetadataSize;

    private static BundleStatus CheckBlobs(in BundleReader bundle, in BootBundleHeader header)
    {
        ulong free = header.MetadataSize;
        for (uint i = 0; i < header.Blobs.Count; i++)
        {
            BootBundleBlob blob = bundle.Blob(i);
            bool inOrder = blob.Offset >= free && blob.Offset <= header.TotalSize && blob.Offset % BootBundle.Alignment == 0;
            if (!inOrder || blob.Length == 0 || blob.Length > header.TotalSize - blob.Offset)
            {
                return BundleStatus.BadBlob;
            }

            free = blob.Offset + blob.Length;
        }

        return BundleStatus.Ok;
    }

    private static bool IsBlob(in BootBundleHeader header, uint index) => index < header.Blobs.Count;

    private static bool IsBlobOrNone(in BootBundleHeader header, uint index) =>
        index == BootBundle.None || IsBlob(header, index);

    private static bool IsText(in BundleReader bundle, in BootBundleHeader header, uint index, int maximum)
    {
        if (!IsBlobOrNone(header, index))
        {
            return false;
        }

        ReadOnlySpan<byte> text = bundle.Content(index);
        return text.Length <= maximum && BundleText.IsFreeOfNul(text);
    }

    private static BundleStatus CheckOptions(in BundleReader bundle, in BootBundleHeader header) =>
        IsText(bundle, header, header.Options, BootBundle.MaximumOptions) ? BundleStatus.Ok : BundleStatus.BadOptions;

    private static BundleStatus CheckBridges(in BundleReader bundle, in BootBundleHeader header)
    {
        for (int i = 0; i < (int)header.Bridges.Count; i++)
        {
            BootBundleBridge bridge = bundle.Bridge(i);
            if (!BundleText.IsName(bridge.Name) || bridge.Reserved != 0)
            {
                return BundleStatus.BadBridge;
            }

            for (int j = 0; j < i; j++)
            {
                BootBundleBridge other = bundle.Bridge(j);
                bool sameNic = bridge.Nic != BootBundle.None && bridge.Nic == other.Nic;
                if (sameNic || BundleText.AreEqual(bridge.Name, other.Name))
                {
                    return BundleStatus.BadBridge;
                }
            }
        }

        return BundleStatus.Ok;
    }

    private static BundleStatus CheckGuests(in BundleReader bundle, in BootBundleHeader header)
    {
        ulong disks = 0;
        ulong vifs = 0;
        ulong affinities = 0;
        for (int i = 0; i < (int)header.Guests.Count; i++)
        {
            BootBundleGuest guest = bundle.Guest(i);
            if (!IsGuest(bundle, header, guest))
            {
                return BundleStatus.BadGuest;
            }

            if (guest.FirstDisk != disks || guest.FirstVif != vifs || guest.FirstAffinity != affinities)
            {
                return BundleStatus.BadPartition;
            }

            disks += guest.DiskCount;
            vifs += guest.VifCount;
            affinities += guest.AffinityCount;
            if (HasTwin(bundle, guest, i))
            {
                return BundleStatus.DuplicateGuest;
            }
        }

        bool whole = disks == header.Disks.Count && vifs == header.Vifs.Count && affinities == header.Affinities.Count;
        return whole ? BundleStatus.Ok : BundleStatus.BadPartition;
    }

    private static bool IsGuest(in BundleReader bundle, in BootBundleHeader header, in BootBundleGuest guest) =>
        BundleText.IsName(guest.Name)
        && guest.Reserved == 0
        && HasMemory(guest)
        && HasProcessors(guest)
        && HasActions(guest)
        && IsBlob(header, guest.Kernel)
        && IsBlobOrNone(header, guest.Ramdisk)
        && IsText(bundle, header, guest.CommandLine, BootBundle.MaximumCommandLine);

    private static bool HasMemory(in BootBundleGuest guest) =>
        guest.MinimumMemoryKiB >= KiBPerPage
        && guest.MinimumMemoryKiB % KiBPerPage == 0
        && guest.MinimumMemoryKiB <= guest.MemoryKiB
        && guest.MemoryKiB % KiBPerPage == 0
        && guest.MaximumMemoryKiB % KiBPerPage == 0
        && guest.MemoryKiB <= guest.MaximumMemoryKiB
        && guest.MaximumMemoryKiB <= MaximumMemoryKiB;

    private static bool HasProcessors(in BootBundleGuest guest) =>
        guest.Vcpus >= 1
        && guest.Vcpus <= guest.MaximumVcpus
        && guest.MaximumVcpus <= BootBundle.MaximumVcpus
        && guest.Weight >= 1
        && guest.Weight <= BootBundle.MaximumWeight
        && guest.Cap <= 100 * BootBundle.MaximumVcpus
        && (guest.AffinityCount <= 1 || guest.AffinityCount == guest.MaximumVcpus);

    private static bool HasActions(in BootBundleGuest guest) =>
        guest.OnPoweroff <= BootBundleAction.CoredumpRestart
        && guest.OnReboot <= BootBundleAction.CoredumpRestart
        && guest.OnCrash <= BootBundleAction.CoredumpRestart
        && guest.OnWatchdog <= BootBundleAction.CoredumpRestart;

    private static bool HasTwin(in BundleReader bundle, in BootBundleGuest guest, int index)
    {
        for (int i = 0; i < index; i++)
        {
            BootBundleGuest other = bundle.Guest(i);
            if (other.ConsolePort == guest.ConsolePort || BundleText.AreEqual(other.Name, guest.Name))
            {
                return true;
            }
        }

        return false;
    }

    private static BundleStatus CheckAffinities(in BundleReader bundle, in BootBundleHeader header)
    {
        for (int i = 0; i < (int)header.Affinities.Count; i++)
        {
            BootBundleAffinity mask = bundle.Affinity(i);
            ulong any = 0;
            for (int word = 0; word < BootBundleAffinity.Words; word++)
            {
                any |= mask[word];
            }

            if (any == 0)
            {
                return BundleStatus.BadAffinity;
            }
        }

        return BundleStatus.Ok;
    }

    private static BundleStatus CheckDisks(in BundleReader bundle, in BootBundleHeader header)
    {
        for (int i = 0; i < (int)header.Guests.Count; i++)
        {
            BootBundleGuest guest = bundle.Guest(i);
            int first = (int)guest.FirstDisk;
            for (int disk = first; disk < first + (int)guest.DiskCount; disk++)
            {
                if (!IsDisk(bundle.Disk(disk)) || DiskHasTwin(bundle, first, disk))
                {
                    return BundleStatus.BadDisk;
                }
            }
        }

        return BundleStatus.Ok;
    }

    private static bool IsDisk(in BootBundleDisk disk) =>
        BundleText.IsName(disk.Name)
        && BundleText.IsSerial(disk.Serial)
        && (disk.Flags & ~(BootBundle.DiskReadOnly | BootBundle.DiskNoDiscard)) == 0;

    private static bool DiskHasTwin(in BundleReader bundle, int firstOfGuest, int index)
    {
        BootBundleDisk disk = bundle.Disk(index);
        for (int i = 0; i < index; i++)
        {
            BootBundleDisk other = bundle.Disk(i);
            bool sameDevice = i >= firstOfGuest && other.VirtualDevice == disk.VirtualDevice;
            if (sameDevice || BundleText.AreEqual(other.Serial, disk.Serial))
            {
                return true;
            }
        }

        return false;
    }

    private static BundleStatus CheckVifs(in BundleReader bundle, in BootBundleHeader header)
    {
        for (int i = 0; i < (int)header.Guests.Count; i++)
        {
            BootBundleGuest guest = bundle.Guest(i);
            int first = (int)guest.FirstVif;
            for (int vif = first; vif < first + (int)guest.VifCount; vif++)
            {
                if (!IsVif(header, bundle.Vif(vif)) || VifHasTwin(bundle, first, vif))
                {
                    return BundleStatus.BadVif;
                }
            }
        }

        return BundleStatus.Ok;
    }

    private static bool IsVif(in BootBundleHeader header, in BootBundleVif vif)
    {
        bool valid = vif.Bridge < header.Bridges.Count
            && (vif.Mac[0] & MulticastBit) == 0
            && !BundleText.IsZero(vif.Mac)
            && (vif.Mtu == 0 || vif.Mtu is >= MinimumMtu and <= MaximumMtu)
            && (vif.RateBytes == 0) == (vif.RateIntervalMicroseconds == 0)
            && vif.AddressCount <= BootBundleAddresses.Size;
        for (int i = 0; valid && i < (int)vif.AddressCount; i++)
        {
            valid = IsAddress(vif.Addresses[i]);
        }

        return valid;
    }

    private static bool IsAddress(in BootBundleAddress address)
    {
        if (address.Reserved != 0)
        {
            return false;
        }

        ReadOnlySpan<byte> bytes = address.Bytes;
        return address.Family switch
        {
            BootBundle.AddressIPv4 => address.PrefixLength <= 32 && BundleText.IsZero(bytes.Slice(4)),
            BootBundle.AddressIPv6 => address.PrefixLength <= 128,
            _ => false,
        };
    }

    private static bool VifHasTwin(in BundleReader bundle, int firstOfGuest, int index)
    {
        BootBundleVif vif = bundle.Vif(index);
        for (int i = 0; i < index; i++)
        {
            BootBundleVif other = bundle.Vif(i);
            bool sameDevice = i >= firstOfGuest && other.DeviceId == vif.DeviceId;
            if (sameDevice || BundleText.AreEqual(other.Mac, vif.Mac))
            {
                return true;
            }
        }

        return false;
    }
}
