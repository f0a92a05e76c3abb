using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Boot.Tests;

public sealed class FioTests
{
    private const int SizeMiB = 64;

    /// <summary>Sequential and random writes of many sizes, with fsync and discard, are read back and verified; nothing is left behind.</summary>
    [Fact]
    public async Task EverythingThatIsWrittenIsVerified()
    {
        BootDirectory directory = BootDirectory.For(nameof(EverythingThatIsWrittenIsVerified));
        GuestPrograms programs = await GuestPrograms.PrepareAsync("fio");
        TestGuest guest = await TestGuest.CreateAsync();

        // Half of it is what the initramfs may take: fio is linked to the clients of several storage systems.
        guest.MemoryMiB = 512;
        string qcow2 = directory.PathOf("disk.qcow2");
        await Tool.RequireAsync("qemu-img", ["create", "-q", "-f", "qcow2", qcow2, $"{SizeMiB}M"]);
        string raw = directory.CreateDisk("disk.raw", SizeMiB);
        string configuration = guest.WriteWithInit(
            directory,
            "fio",
            "fio.sh",
            string.Empty,
            programs.ToArchive(),
            $"disk = [ \"format=raw, vdev=xvda, access=rw, target={raw}\", \"format=qcow2, vdev=xvdb, access=rw, target={qcow2}\" ]");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(0);
        run.RequireInLog("fio", "fio: xvda ok");
        run.RequireInLog("fio", "fio: xvdb ok");
        await Tool.RequireAsync("qemu-img", ["check", "-q", qcow2]);
        Audit.RequireNothingLeft(directory);
    }
}
