using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Boot.Tests;

public sealed class FioTests
{
    private const int SizeMiB = 64;
    private static readonly string[] s_names = ["xvda", "xvdb"];

    /// <summary>
    /// Sequential and random writes of many sizes, with fsync and discard, are read back and verified; nothing is left behind. A raw image and a qcow2
    /// one; the latter is the same to a domain of Xen, whose dom0 is what has it.
    /// </summary>
    [Theory]
    [InlineData("kvm", 2, 1)]
    [InlineData("xen", 1, 4)]
    public async Task EverythingThatIsWrittenIsVerified(string l0, int disks, int divisor)
    {
        BootDirectory directory = BootDirectory.For($"{nameof(EverythingThatIsWrittenIsVerified)}-{l0}");
        GuestPrograms programs = await GuestPrograms.PrepareAsync("fio");
        TestGuest guest = await TestGuest.CreateAsync();

        // Half of it is what the initramfs may take: fio is linked to the clients of several storage systems.
        guest.MemoryMiB = 512;
        string qcow2 = directory.PathOf("disk.qcow2");
        await Tool.RequireAsync("qemu-img", ["create", "-q", "-f", "qcow2", qcow2, $"{SizeMiB}M"]);
        string raw = directory.CreateDisk("disk.raw", SizeMiB);
        string[] entries = [$"format=raw, vdev=xvda, access=rw, target={raw}", $"format=qcow2, vdev=xvdb, access=rw, target={qcow2}"];
        string configuration = guest.WriteWithInit(
            directory,
            "fio",
            "fio.sh",
            string.Create(CultureInfo.InvariantCulture, $"disks={disks} divisor={divisor}"),
            programs.ToArchive(),
            $"disk = [ {string.Join(", ", entries.Take(disks).Select(entry => $"\"{entry}\""))} ]");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, ["--l0", l0, configuration]);
        run.RequireStatus(0);
        foreach (string disk in s_names.Take(disks))
        {
            run.RequireInLog("fio", $"fio: {disk} ok");
        }

        await Tool.RequireAsync("qemu-img", ["check", "-q", qcow2]);
        Audit.RequireNothingLeft(directory);
    }
}
