using System;
using System.Buffers.Binary;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Kernel.Services;

/// <summary>
/// Keys of hash tables, which guests must not guess: from the CPU's generator; without one, from L0's entropy device; without either, from
/// what the TSC shows of the machine's history.
/// </summary>
internal static class SecretKey
{
    // How long the boot waits for an entropy device, ns: QEMU's answers within a few microseconds.
    private const ulong Patience = 20_000_000;

    /// <summary>A new key; after the drivers have looked for devices.</summary>
    internal static ulong Create()
    {
        if (Cpu.TryRandom(out ulong key) || TryTake(out key))
        {
            return key;
        }

        Log.Line("no source of entropy: keys of hash tables come from the clock"u8).End();
        return unchecked(Cpu.ReadTsc() * 0x9e3779b97f4a7c15);
    }

    private static bool TryTake(out ulong key)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        DeviceCollection devices = DeviceRegistry.Found;
        int count = 0;
        ulong end = SystemTime.Now + Patience;
        while (devices.EntropySourceCount != 0 && count < bytes.Length && SystemTime.Now < end)
        {
            count += devices.Entropy(0).TryTake(bytes.Slice(count));
            Cpu.Pause();
        }

        key = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return count == bytes.Length;
    }
}
