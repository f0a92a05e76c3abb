using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Diagnosis;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Cli.Tests;

public sealed class SmallGuestTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>Another program's reading of the format is the judge.</summary>
    [Fact]
    public async Task CpioReadsWhatIsWritten()
    {
        CpioArchive archive = new();
        archive.AddDirectory("bin");
        archive.AddFile("bin/tool", "#!/bin/sh\n"u8, executable: true);
        archive.AddFile("empty", []);
        archive.AddFile("odd", "12345"u8);
        archive.AddLink("link", "bin/tool");
        archive.AddCharacterDevice("console", 5, 1);
        byte[] bytes = archive.ToArray();
        ToolResult list = await Tool.RequireAsync("busybox", ["cpio", "-tv"], bytes);
        string[] lines = [.. list.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        Assert.Equal(["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "-rw-r--r--", "lrwxrwxrwx", "crw-------"], lines.Select(line => line[..10]));
        Assert.EndsWith("link -> bin/tool", lines[4], StringComparison.Ordinal);
        await Tool.RequireAsync("busybox", ["cpio", "-i", "odd", "bin", "bin/tool"], bytes, _directory.Path);
        Assert.Equal("12345", File.ReadAllText(Path.Combine(_directory.Path, "odd")));
        Assert.Equal("#!/bin/sh\n", File.ReadAllText(Path.Combine(_directory.Path, "bin", "tool")));
    }

    [Theory]
    [InlineData("init.sh")]
    [InlineData("setup.sh")]
    [InlineData("udhcpc.sh")]
    public async Task ScriptsAreValid(string name) =>
        await Tool.RequireAsync("busybox", ["sh", "-n", _directory.File(name, Initramfs.Resource(name))]);

    [Fact]
    public async Task ModulesComeAfterWhatTheyDependOn()
    {
        Directory.CreateDirectory(Path.Combine(_directory.Path, "net"));
        _directory.File("net/top-module.ko", Module("middle,base"));
        _directory.File("middle.ko.xz", (await Tool.RequireAsync("xz", ["-c"], Module("base"))).Output);
        _directory.File("base.ko", Module(string.Empty));
        _directory.File("other.ko", Module(string.Empty));
        IReadOnlyList<KernelModule> modules = await new KernelModules(_directory.Path).LoadAsync(["top_module", "built-in", "base"], CancellationToken.None);
        Assert.Equal(["base", "middle", "top_module"], modules.Select(module => module.Name));
        Assert.Equal(Module("base"), modules[1].Content);
    }

    [Fact]
    public void PackageListIsWellFormed()
    {
        Assert.Equal([new HostPackage("a", "b", "c")], HostPackages.Parse(["# comment", "", "a   b  c"]));
        Assert.All(HostPackages.Read(), package => Assert.False(string.IsNullOrEmpty(package.Purpose)));
        Assert.Contains(HostPackages.Read(), package => package.Program == "qemu-system-x86_64" && !package.IsOptional);
        Assert.Contains(HostPackages.Read(), package => package.Program == "gdb" && package.IsOptional);
    }

    [Fact]
    public async Task CachedDirectoryIsFilledOnceAndOnlyWhenThatSucceeds()
    {
        string name = $"test-{Guid.NewGuid():N}";
        string final = Path.Combine(CacheDirectory.Root, name);
        await Assert.ThrowsAsync<HostException>(() => CacheDirectory.OnceAsync(name, _ => throw new HostException("no")));
        Assert.False(Directory.Exists(final));
        int times = 0;
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(final, await CacheDirectory.OnceAsync(name, directory =>
            {
                times++;
                return File.WriteAllTextAsync(Path.Combine(directory, "f"), "x");
            }));
        }

        Assert.Equal(1, times);
        Assert.Equal("x", File.ReadAllText(Path.Combine(final, "f")));
        Assert.Equal([final], Directory.EnumerateDirectories(CacheDirectory.Root, name + "*"));
        Directory.Delete(final, recursive: true);
    }

    /// <summary>A relocatable ELF file with a .modinfo section.</summary>
    private static byte[] Module(string depends)
    {
        byte[] info = Encoding.ASCII.GetBytes($"license=GPL\0depends={depends}\0vermagic=1\0");
        byte[] names = "\0.modinfo\0.shstrtab\0"u8.ToArray();
        ulong tableStart = (ulong)(64 + info.Length + names.Length);
        MemoryStream elf = new();
        elf.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        elf.Write([1, 0, 62, 0, 1, 0, 0, 0, .. BitConverter.GetBytes(0ul), .. BitConverter.GetBytes(0ul), .. BitConverter.GetBytes(tableStart)]);
        elf.Write([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        elf.Write(info);
        elf.Write(names);
        elf.Write(new byte[64]);
        elf.Write(Section(1, 64, (ulong)info.Length));
        elf.Write(Section(10, (ulong)(64 + info.Length), (ulong)names.Length));
        return elf.ToArray();
    }

    private static byte[] Section(uint name, ulong offset, ulong size) =>
        [.. BitConverter.GetBytes(name), 1, 0, 0, 0, .. new byte[16], .. BitConverter.GetBytes(offset), .. BitConverter.GetBytes(size), .. new byte[24]];
}
