using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Configuration;
using Blanket.Lab.Kernels;

namespace Blanket.Lab.Bundles;

/// <summary>Makes a boot bundle of guest configurations: reads and decompresses their files.</summary>
public static class BundleBuilder
{
    /// <summary>Reads configurations and plans the machine for them.</summary>
    /// <param name="files">Configuration files.</param>
    /// <param name="warn">Takes one line for each thing that has no effect.</param>
    /// <exception cref="InputException">A configuration is wrong.</exception>
    public static MachinePlan Plan(IEnumerable<string> files, Action<string> warn)
    {
        List<GuestConfiguration> guests = [];
        foreach (string file in files)
        {
            (GuestConfiguration guest, IReadOnlyList<string> warnings) = GuestConfigurationReader.ReadFile(file);
            guests.Add(guest);
            foreach (string warning in warnings)
            {
                warn(warning);
            }
        }

        return MachinePlan.For(guests);
    }

    /// <summary>
    /// Bytes behind a bundle that may get lost. QEMU puts it (-initrd) 160 KiB below the end of memory, and of the last 256 KiB there
    /// SeaBIOS keeps what it needs: with more than three virtio disks it is more than 160 KiB.
    /// </summary>
    private const int Padding = 128 << 10;

    /// <summary>A bundle with the guests of a plan.</summary>
    /// <param name="plan">The machine.</param>
    /// <param name="options">Global options.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="InputException">A kernel or ramdisk cannot be used.</exception>
    public static async Task<byte[]> BuildAsync(MachinePlan plan, string options, CancellationToken cancellation)
    {
        List<BundledGuest> guests = [];
        foreach (PlannedGuest guest in plan.Guests)
        {
            byte[] kernel = await LoadKernelAsync(guest.Configuration, cancellation).ConfigureAwait(false);
            byte[]? ramdisk = guest.Configuration.Ramdisk is string path ? await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false) : null;
            guests.Add(new BundledGuest(guest, kernel, ramdisk));
        }

        return [.. BundleWriter.Write(plan, guests, options), .. new byte[Padding]];
    }

    /// <summary>Memory in MiB that an L0 machine needs for the guests of a plan with a bundle of a size.</summary>
    public static long RequiredMemoryMiB(MachinePlan plan, long bundleSize)
    {
        // The hypervisor itself, its tables for each guest, and what firmware keeps.
        const long fixedMiB = 64;
        const long perGuestMiB = 8;
        long guests = plan.Guests.Sum(guest => guest.Configuration.MaximumMemoryMiB + perGuestMiB);
        return guests + (bundleSize >> 20) + 1 + fixedMiB;
    }

    private static async Task<byte[]> LoadKernelAsync(GuestConfiguration guest, CancellationToken cancellation)
    {
        try
        {
            return await GuestKernel.LoadAsync(guest.Kernel, cancellation).ConfigureAwait(false);
        }
        catch (KernelException e)
        {
            throw new InputException(guest.KernelSource, $"kernel {e.Message}");
        }
    }
}
