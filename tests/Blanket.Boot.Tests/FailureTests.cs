using System.IO;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>Exit statuses of runs that end badly.</summary>
public sealed class FailureTests
{
    private const int GuestCrashed = 3;
    private const int BlanketPanicked = 4;
    private const int TimedOut = 5;

    /// <summary>Without a root and without a first process Linux panics, and panic=-1 makes it tell the hypervisor at once.</summary>
    [Fact]
    public async Task CrashedGuestIsTold()
    {
        BootDirectory directory = BootDirectory.For(nameof(CrashedGuestIsTold));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.Write(directory, "crashing", "rdinit=/nonexistent panic=-1");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(GuestCrashed);
        run.RequireInLog("crashing", "Kernel panic");
        run.RequireInLog("blanket", "event guest-crash name=crashing");
    }

    /// <summary>Blanket must not run what is left of a bundle whose checksum is wrong.</summary>
    [Fact]
    public async Task DamagedBundleIsAPanic()
    {
        BootDirectory directory = BootDirectory.For(nameof(DamagedBundleIsAPanic));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.Write(directory, "unreached", string.Empty);
        string bundle = directory.PathOf("bundle");
        BlanketCommand made = await BlanketCommand.CallAsync(directory, ["bundle", "-o", bundle, configuration]);
        made.RequireStatus(0);
        Damage(bundle);

        // The last -initrd counts for QEMU.
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration, "--qemu-arg=-initrd", $"--qemu-arg={bundle}"]);
        run.RequireStatus(BlanketPanicked);
        run.RequireInLog("blanket", "event panic");
        Assert.DoesNotContain("event guest-start", directory.ReadLog("blanket"), System.StringComparison.Ordinal);
        File.Delete(bundle);
    }

    /// <summary>The small guest waits for ever for what is typed into its shell.</summary>
    [Fact]
    public async Task TimeoutIsTold()
    {
        BootDirectory directory = BootDirectory.For(nameof(TimeoutIsTold));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.Write(directory, "waiting", "quiet");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration], timeoutSeconds: 3);
        run.RequireStatus(TimedOut);
    }

    /// <summary>Inverts a byte of the tables, behind the header.</summary>
    private static void Damage(string bundle)
    {
        const int offset = 512;
        using FileStream stream = File.Open(bundle, FileMode.Open);
        stream.Position = offset;
        int value = stream.ReadByte();
        stream.Position = offset;
        stream.WriteByte((byte)~value);
    }
}
