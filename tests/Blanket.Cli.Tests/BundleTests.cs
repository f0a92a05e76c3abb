using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Blanket.Abi;
using Blanket.Core.Bundles;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Machine;
using FsCheck;
using FsCheck.Xunit;

namespace Blanket.Cli.Tests;

public class BundleTests
{
    private const int ChecksumField = 32;

    /// <summary>The layout is a format: a changed size or place needs a new version number.</summary>
    [Fact]
    public void RecordsHaveTheSizesOfVersion3()
    {
        Assert.Equal(3u, BootBundle.Version);
        Assert.Equal("BLANKETB", Encoding.ASCII.GetString(BitConverter.GetBytes(BootBundle.Magic)));
        Assert.Equal(88, Unsafe.SizeOf<BootBundleHeader>());
        Assert.Equal(24, Unsafe.SizeOf<BootBundleBlob>());
        Assert.Equal(168, Unsafe.SizeOf<BootBundleGuest>());
        Assert.Equal(56, Unsafe.SizeOf<BootBundleDisk>());
        Assert.Equal(192, Unsafe.SizeOf<BootBundleVif>());
        Assert.Equal(24, Unsafe.SizeOf<BootBundleBridge>());
        Assert.Equal(32, Unsafe.SizeOf<BootBundleAffinity>());
        Assert.Equal(ChecksumField, (int)Marshal.OffsetOf<BootBundleHeader>(nameof(BootBundleHeader.MetadataChecksum)));
    }

    /// <summary>The check value that RFC 3720, B.4 and every catalogue of CRCs give, with a zero field in the middle.</summary>
    [Fact]
    public void MetadataChecksumIsCrc32C()
    {
        Assert.Equal(0xE3069283u, BundleChecksum.OfMetadata("123456789"u8, 100));
        Assert.Equal(0x8A9136AAu, BundleChecksum.OfMetadata(new byte[32], 100));
        byte[] data = [1, 2, 3, 4, 5, 6, 7, 8];
        byte[] masked = [1, 2, 0, 0, 0, 0, 7, 8];
        Assert.Equal(BundleChecksum.OfMetadata(masked, 100), BundleChecksum.OfMetadata(data, 2));
    }

    [Property]
    public bool BlobChecksumSeesEveryChangedBit(byte[] content, NonNegativeInt place)
    {
        if (content.Length == 0)
        {
            return true;
        }

        byte[] changed = [.. content];
        changed[place.Get % content.Length] ^= (byte)(1 << (place.Get % 8));
        return BundleChecksum.OfBlob(changed) != BundleChecksum.OfBlob(content);
    }

    [Property]
    public bool BlobChecksumSeesSwappedWordsAndLength(ulong[] words)
    {
        byte[] content = MemoryMarshal.AsBytes(words.AsSpan()).ToArray();
        byte[] longer = [.. content, 0];
        bool seesLength = BundleChecksum.OfBlob(longer) != BundleChecksum.OfBlob(content);
        if (words.Length < 2 || words[0] == words[1])
        {
            return seesLength;
        }

        (words[0], words[1]) = (words[1], words[0]);
        return seesLength && BundleChecksum.OfBlob(MemoryMarshal.AsBytes(words.AsSpan())) != BundleChecksum.OfBlob(content);
    }

    [Property(MaxTest = 50)]
    public void ReaderReturnsWhatWriterWrote(int seed, byte count)
    {
        IReadOnlyList<GuestConfiguration> guests = TestGuests.Random(seed, count % 6);
        byte[] bundle = TestGuests.Bundle(seed, guests, "loglevel=debug");
        Assert.Equal(BundleStatus.Ok, BundleReader.Open(bundle, out BundleReader reader));
        Assert.Equal(guests.Count, reader.GuestCount);
        Assert.Equal("loglevel=debug"u8, reader.Options);
        Assert.Equal((ulong)bundle.Length, reader.TotalSize);
        for (int i = 0; i < guests.Count; i++)
        {
            AssertSame(seed, i, guests[i], reader);
        }
    }

    private static void AssertSame(int seed, int index, GuestConfiguration expected, BundleReader reader)
    {
        BootBundleGuest guest = reader.Guest(index);
        Assert.Equal(expected.Name, Text(guest.Name));
        Assert.Equal(expected.Uuid, new Guid(guest.Uuid, bigEndian: true));
        Assert.Equal(
            ((ulong)expected.MemoryMiB * 1024, (ulong)expected.MaximumMemoryMiB * 1024, (ulong)expected.MinimumMemoryMiB * 1024),
            (guest.MemoryKiB, guest.MaximumMemoryKiB, guest.MinimumMemoryKiB));
        Assert.Equal(((uint)expected.Vcpus, (uint)expected.MaximumVcpus), (guest.Vcpus, guest.MaximumVcpus));
        Assert.Equal(expected.CommandLine, Encoding.UTF8.GetString(reader.Content(guest.CommandLine)));
        Assert.Equal((expected.OnPoweroff, expected.OnReboot, expected.OnCrash, expected.OnWatchdog), (guest.OnPoweroff, guest.OnReboot, guest.OnCrash, guest.OnWatchdog));
        Assert.Equal((expected.Weight, expected.Cap), (guest.Weight, guest.Cap));
        Assert.Equal(TestGuests.Kernel(seed, index), reader.Content(guest.Kernel).ToArray());
        Assert.Equal(TestGuests.Ramdisk(seed, index) ?? [], reader.Content(guest.Ramdisk).ToArray());
        Assert.True(IsIntact(reader, guest.Kernel) && IsIntact(reader, guest.Ramdisk) && IsIntact(reader, guest.CommandLine));
        Assert.Equal(0ul, reader.Blob(guest.Kernel).Offset % BootBundle.Alignment);
        Assert.Equal(expected.Affinities.Count, (int)guest.AffinityCount);
        for (int i = 0; i < expected.Affinities.Count; i++)
        {
            BootBundleAffinity mask = reader.Affinity((int)guest.FirstAffinity + i);
            Assert.Equal(expected.Affinities[i].Cpus, Enumerable.Range(0, 256).Where(cpu => (mask[cpu / 64] >> (cpu % 64) & 1) != 0));
        }

        Assert.Equal(expected.Disks.Count, (int)guest.DiskCount);
        for (int i = 0; i < expected.Disks.Count; i++)
        {
            AssertSame(expected.Disks[i], reader.Disk((int)guest.FirstDisk + i), $"guest{index}.disk{i}");
        }

        Assert.Equal(expected.Vifs.Count, (int)guest.VifCount);
        for (int i = 0; i < expected.Vifs.Count; i++)
        {
            AssertSame(expected.Vifs[i], reader.Vif((int)guest.FirstVif + i), reader);
        }
    }

    private static void AssertSame(DiskSpecification expected, BootBundleDisk disk, string serial)
    {
        Assert.Equal((expected.Device.Name, expected.Device.Number, serial), (Text(disk.Name), disk.VirtualDevice, Text(disk.Serial)));
        Assert.Equal((expected.ReadOnly, expected.Discard), ((disk.Flags & BootBundle.DiskReadOnly) != 0, (disk.Flags & BootBundle.DiskNoDiscard) == 0));
        Assert.Equal(expected.Limit, new DiskLimit(disk.BytesPerSecond, disk.RequestsPerSecond));
    }

    private static void AssertSame(VifSpecification expected, BootBundleVif vif, BundleReader reader)
    {
        ReadOnlySpan<byte> mac = vif.Mac;
        Assert.Equal(expected.Mac.ToBytes(), mac.ToArray());
        BootBundleBridge bridge = reader.Bridge((int)vif.Bridge);
        Assert.Equal((expected.Bridge, vif.Bridge), (Text(bridge.Name), bridge.Nic));
        Assert.Equal((expected.DeviceId, expected.Mtu ?? 0), (vif.DeviceId, vif.Mtu));
        Assert.Equal((expected.Rate?.BytesPerInterval ?? 0, expected.Rate?.IntervalMicroseconds ?? 0), (vif.RateBytes, vif.RateIntervalMicroseconds));
        Assert.Equal(expected.Addresses.Count, (int)vif.AddressCount);
        for (int i = 0; i < expected.Addresses.Count; i++)
        {
            byte[] address = expected.Addresses[i].BaseAddress.GetAddressBytes();
            BootBundleAddressBytes bytes = vif.Addresses[i].Bytes;
            Assert.Equal(address, ((ReadOnlySpan<byte>)bytes)[..address.Length].ToArray());
            Assert.Equal(expected.Addresses[i].PrefixLength, vif.Addresses[i].PrefixLength);
        }
    }

    private static string Text(ReadOnlySpan<byte> field) => Encoding.ASCII.GetString(field).TrimEnd('\0');

    [Fact]
    public void SameContentIsStoredOnce()
    {
        byte[] bundle = TestGuests.Bundle(1, TestGuests.Random(1, 3), string.Empty);
        BundleReader.Open(bundle, out BundleReader reader);
        Assert.Equal(reader.Guest(0).Kernel, reader.Guest(2).Kernel);
        Assert.NotEqual(reader.Guest(0).Kernel, reader.Guest(1).Kernel);
    }

    [Property(MaxTest = 200)]
    public void AChangedByteIsNoticed(int seed, NonNegativeInt place, byte change)
    {
        byte[] bundle = TestGuests.Bundle(seed, TestGuests.Random(seed, 2), "x");
        BootBundleHeader header = MemoryMarshal.Read<BootBundleHeader>(bundle);
        bundle[place.Get % (int)header.MetadataSize] ^= (byte)(change | 1);
        Assert.NotEqual(BundleStatus.Ok, BundleReader.Open(bundle, out BundleReader reader));
        Assert.Equal(0, reader.GuestCount);
    }

    /// <summary>A sum that is taken in many goes is that of one go.</summary>
    [Property(MaxTest = 50)]
    public void ABlobIsSummedInGoes(ushort seed, PositiveInt length)
    {
        byte[] content = new byte[length.Get * 4099 % 500_000];
        new Random(seed).NextBytes(content);
        BlobChecksum checksum = default;
        int goes = 1;
        PendingWork.Exists = true;
        while (!checksum.TryAdd(content))
        {
            goes++;
        }

        PendingWork.Exists = false;
        Assert.Equal(BundleChecksum.OfBlob(content), checksum.Value);
        Assert.Equal(Math.Max(1, (content.Length / 8 + 8191) / 8192), goes);
    }

    [Property(MaxTest = 100)]
    public void AChangedBlobIsNotIntact(int seed, NonNegativeInt place)
    {
        byte[] bundle = TestGuests.Bundle(seed, TestGuests.Random(seed, 1), string.Empty);
        BundleReader.Open(bundle, out BundleReader reader);
        BootBundleBlob kernel = reader.Blob(reader.Guest(0).Kernel);
        bundle[(int)kernel.Offset + (place.Get % (int)kernel.Length)] ^= 0x40;
        Assert.False(IsIntact(reader, reader.Guest(0).Kernel));
    }

    /// <summary>Somebody who can compute a checksum still cannot make the reader fail or reach outside the bundle.</summary>
    [Property(MaxTest = 500)]
    public void HostileMetadataIsHarmless(int seed, byte changes)
    {
        Random random = new(seed);
        byte[] bundle = TestGuests.Bundle(seed & 3, TestGuests.Random(seed & 3, 3), "x");
        Span<byte> metadata = bundle.AsSpan(0, (int)MemoryMarshal.Read<BootBundleHeader>(bundle).MetadataSize);
        ulong[] telling = [0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, ulong.MaxValue, BootBundle.MaximumSize];
        for (int i = 0; i <= changes % 4; i++)
        {
            int place = random.Next(metadata.Length - 8);
            MemoryMarshal.Write(metadata[place..], random.Next(2) == 0 ? telling[random.Next(telling.Length)] : (ulong)random.NextInt64());
        }

        Seal(bundle);
        if (BundleReader.Open(bundle, out BundleReader reader) == BundleStatus.Ok)
        {
            ReadEverything(reader);
        }
    }

    [Property]
    public void AnyBytesAreHarmless(byte[] bytes) => Assert.NotEqual(BundleStatus.Ok, BundleReader.Open(bytes, out _));

    private static bool IsIntact(BundleReader reader, uint index) =>
        index == BootBundle.None || BundleChecksum.OfBlob(reader.Content(index)) == reader.Blob(index).Checksum;

    private static void Seal(byte[] bundle)
    {
        BootBundleHeader header = MemoryMarshal.Read<BootBundleHeader>(bundle);
        int size = (int)Math.Min(header.MetadataSize, (ulong)bundle.Length);
        MemoryMarshal.Write(bundle.AsSpan(ChecksumField), BundleChecksum.OfMetadata(bundle.AsSpan(0, size), ChecksumField));
    }

    private static void ReadEverything(BundleReader reader)
    {
        _ = reader.Options.Length;
        for (int i = 0; i < reader.GuestCount; i++)
        {
            BootBundleGuest guest = reader.Guest(i);
            _ = IsIntact(reader, guest.Kernel) | IsIntact(reader, guest.Ramdisk) | IsIntact(reader, guest.CommandLine);
            Assert.InRange(guest.MemoryKiB, 4ul, guest.MaximumMemoryKiB);
            for (int disk = 0; disk < guest.DiskCount; disk++)
            {
                _ = reader.Disk((int)guest.FirstDisk + disk);
            }

            for (int vif = 0; vif < guest.VifCount; vif++)
            {
                _ = reader.Bridge((int)reader.Vif((int)guest.FirstVif + vif).Bridge);
            }
        }
    }

    private delegate void Edit<T>(ref T record);

    private static BundleStatus After<T>(Func<BootBundleHeader, BootBundleTable> table, int index, Edit<T> edit)
        where T : struct
    {
        byte[] bundle = TestGuests.Bundle(Seed, TestGuests.Random(Seed, 3), "options");
        BootBundleTable place = table(MemoryMarshal.Read<BootBundleHeader>(bundle));
        Assert.InRange(index, 0, (int)place.Count - 1);
        Span<byte> record = bundle.AsSpan((int)place.Offset + (index * Unsafe.SizeOf<T>()));
        T value = MemoryMarshal.Read<T>(record);
        edit(ref value);
        MemoryMarshal.Write(record, value);
        Seal(bundle);
        return BundleReader.Open(bundle, out _);
    }

    private static BundleStatus AfterHeader(Edit<BootBundleHeader> edit) => After(_ => new BootBundleTable { Offset = 0, Count = 1 }, 0, edit);

    private static BundleStatus AfterGuest(Edit<BootBundleGuest> edit) => After(header => header.Guests, 1, edit);

    private static BundleStatus AfterBlob(int index, Edit<BootBundleBlob> edit) => After(header => header.Blobs, index, edit);

    private static BundleStatus AfterDisk(Edit<BootBundleDisk> edit) => After(header => header.Disks, 1, edit);

    private static BundleStatus AfterVif(Edit<BootBundleVif> edit) => After(header => header.Vifs, 1, edit);

    private static BundleStatus AfterBridge(Edit<BootBundleBridge> edit) => After(header => header.Bridges, 1, edit);

    /// <summary>A seed whose three guests have at least two disks, two vifs, two bridges and an affinity between them.</summary>
    private static readonly int Seed = Enumerable.Range(0, 1000).First(seed =>
    {
        IReadOnlyList<GuestConfiguration> guests = TestGuests.Random(seed, 3);
        return guests[0].Disks.Count > 1 && guests[0].Vifs.Count > 1 && guests.Sum(guest => guest.Affinities.Count) > 0
            && guests[0].Vifs[1].Addresses.Count > 0 && guests[0].Vifs[1].Rate is not null && guests.SelectMany(guest => guest.Vifs).Select(vif => vif.Bridge).Distinct().Count() > 1;
    });

    [Fact]
    public void HeaderRules()
    {
        Assert.Equal(BundleStatus.Ok, AfterHeader((ref BootBundleHeader _) => { }));
        Assert.Equal(BundleStatus.BadMagic, AfterHeader((ref BootBundleHeader header) => header.Magic++));
        Assert.Equal(BundleStatus.BadVersion, AfterHeader((ref BootBundleHeader header) => header.Version++));
        Assert.Equal(BundleStatus.BadHeader, AfterHeader((ref BootBundleHeader header) => header.HeaderSize--));
        Assert.Equal(BundleStatus.BadHeader, AfterHeader((ref BootBundleHeader header) => header.TotalSize++));
        Assert.Equal(BundleStatus.Truncated, AfterHeader((ref BootBundleHeader header) => header.TotalSize += BootBundle.Alignment));
        Assert.Equal(BundleStatus.BadHeader, AfterHeader((ref BootBundleHeader header) => header.TotalSize = 1ul << 40));
        Assert.Equal(BundleStatus.BadHeader, AfterHeader((ref BootBundleHeader header) => header.MetadataSize = 0));
        Assert.Equal(BundleStatus.BadOptions, AfterHeader((ref BootBundleHeader header) => header.Options = 77));
        Assert.Equal(BundleStatus.BadTable, AfterHeader((ref BootBundleHeader header) => header.Disks.Offset = 0));
        Assert.Equal(BundleStatus.BadTable, AfterHeader((ref BootBundleHeader header) => header.Disks.Offset += 4));
        Assert.Equal(BundleStatus.BadTable, AfterHeader((ref BootBundleHeader header) => header.Disks.Offset = 0xFFFFFFF8));
        Assert.Equal(BundleStatus.BadTable, AfterHeader((ref BootBundleHeader header) => header.Guests.Count = 0xFFFFFFFF));
        Assert.Equal(BundleStatus.BadPartition, AfterHeader((ref BootBundleHeader header) => header.Disks.Count++));
    }

    [Fact]
    public void BlobRules()
    {
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(0, (ref BootBundleBlob blob) => blob.Offset = 0));
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(0, (ref BootBundleBlob blob) => blob.Offset++));
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(0, (ref BootBundleBlob blob) => blob.Length = 0));
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(0, (ref BootBundleBlob blob) => blob.Length = ulong.MaxValue));
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(0, (ref BootBundleBlob blob) => blob.Offset = ulong.MaxValue - 4095));
        Assert.Equal(BundleStatus.BadBlob, AfterBlob(1, (ref BootBundleBlob blob) => blob.Offset -= BootBundle.Alignment * 8));
    }

    [Fact]
    public void GuestRules()
    {
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Name[0] = (byte)'/'));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Name[63] = (byte)'x'));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Name = default));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MemoryKiB = 0));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MemoryKiB++));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MaximumMemoryKiB = guest.MemoryKiB - 4));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MaximumMemoryKiB = 1ul << 60));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MinimumMemoryKiB = 0));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MinimumMemoryKiB = guest.MemoryKiB + 4));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Vcpus = 0));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Vcpus = guest.MaximumVcpus + 1));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.MaximumVcpus = 129));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Kernel = BootBundle.None));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Ramdisk = 99));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.CommandLine = guest.Kernel));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.OnCrash = (BootBundleAction)6));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Weight = 0));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Weight = 65536));
        Assert.Equal(BundleStatus.BadGuest, AfterGuest((ref BootBundleGuest guest) => guest.Reserved = 1));
        Assert.Equal(BundleStatus.BadPartition, AfterGuest((ref BootBundleGuest guest) => guest.FirstDisk++));
        Assert.Equal(BundleStatus.BadPartition, AfterGuest((ref BootBundleGuest guest) => guest.VifCount = 0xFFFFFFFF));
        Assert.Equal(BundleStatus.DuplicateGuest, AfterGuest((ref BootBundleGuest guest) => guest.ConsolePort--));
        Assert.Equal(BundleStatus.DuplicateGuest, AfterGuest((ref BootBundleGuest guest) => "guest-0"u8.CopyTo(guest.Name)));
        Assert.Equal(BundleStatus.BadAffinity, After(header => header.Affinities, 0, (ref BootBundleAffinity mask) => mask = default));
    }

    [Fact]
    public void DiskRules()
    {
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => disk.Serial = default));
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => disk.Serial[19] = (byte)'x'));
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => "guest0.disk0"u8.CopyTo(disk.Serial)));
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => disk.VirtualDevice = 51712));
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => disk.Flags |= 4));
        Assert.Equal(BundleStatus.BadDisk, AfterDisk((ref BootBundleDisk disk) => disk.Name = default));
    }

    [Fact]
    public void VifRules()
    {
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Bridge = 99));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Mac[0] |= 1));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Mac = default));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Mtu = 67));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.RateIntervalMicroseconds = 0));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.DeviceId = 0));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.AddressCount = 9));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Addresses[0].Family = 5));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Addresses[0].PrefixLength = 33));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Addresses[0].Bytes[15] = 1));
        Assert.Equal(BundleStatus.BadVif, AfterVif((ref BootBundleVif vif) => vif.Addresses[1].PrefixLength = 129));
    }

    [Fact]
    public void BridgeRules()
    {
        Assert.Equal(BundleStatus.BadBridge, AfterBridge((ref BootBundleBridge bridge) => bridge.Nic = 0));
        Assert.Equal(BundleStatus.BadBridge, AfterBridge((ref BootBundleBridge bridge) => bridge.Name = default));
        Assert.Equal(BundleStatus.BadBridge, AfterBridge((ref BootBundleBridge bridge) => bridge.Reserved = 1));
        Assert.Equal(BundleStatus.Ok, AfterBridge((ref BootBundleBridge bridge) => bridge.Nic = BootBundle.None));
    }

    [Fact]
    public void PlanRefusesContradictions()
    {
        IReadOnlyList<GuestConfiguration> guests = TestGuests.Random(Seed, 2);
        Assert.Contains("expected another name", Refusal([guests[0], guests[1] with { Name = guests[0].Name }]), StringComparison.Ordinal);
        Assert.Contains("expected another mac", Refusal([guests[0], guests[1] with { Vifs = guests[0].Vifs }]), StringComparison.Ordinal);
        DiskSpecification shared = guests[0].Disks[0] with { ReadOnly = true };
        Assert.Contains(
            "expected read-only access", Refusal([guests[0] with { Disks = [shared] }, guests[1] with { Disks = [shared with { ReadOnly = false }] }]), StringComparison.Ordinal);
        Assert.Equal(2, MachinePlan.For([guests[0] with { Disks = [shared] }, guests[1] with { Disks = [shared] }]).Disks.Count());
        Assert.Contains("expected at most 128", Refusal(TestGuests.Random(1, 129)), StringComparison.Ordinal);
    }

    private static string Refusal(IReadOnlyList<GuestConfiguration> guests) => Assert.Throws<InputException>(() => MachinePlan.For(guests)).Message;

    [Fact]
    public void WriterRefusesTooLongOptions() =>
        Assert.Contains("expected at most 4095", Assert.Throws<InputException>(() => TestGuests.Bundle(1, [], new string('x', 4096))).Message, StringComparison.Ordinal);
}
