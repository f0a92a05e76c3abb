using System;
using System.IO;

namespace Blanket.Boot.Tests;

/// <summary>Where a boot test keeps its files: <c>TestResults/boot/TEST</c>, left behind for whoever looks into a failure.</summary>
internal sealed class BootDirectory
{
    private const string Marker = "Blanket.slnx";

    private BootDirectory(string path) => Root = path;

    /// <summary>Absolute path.</summary>
    internal string Root { get; }

    /// <summary>The hypervisor's image.</summary>
    internal static string Image => Path.Combine(ProjectRoot(), "artifacts", "blanket.elf");

    /// <summary>A new empty directory for a test; what an earlier run left there is deleted.</summary>
    internal static BootDirectory For(string test)
    {
        Assert.True(File.Exists(Image), $"there is no {Image}: build it with ./blanket build");
        string path = Path.Combine(ProjectRoot(), "TestResults", "boot", test);
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }

        Directory.CreateDirectory(path);
        return new BootDirectory(path);
    }

    /// <summary>Path of a file in it.</summary>
    internal string PathOf(string name) => Path.Combine(Root, name);

    /// <summary>Writes a text file and tells its path.</summary>
    internal string Write(string name, string text)
    {
        string path = PathOf(name);
        File.WriteAllText(path, text);
        return path;
    }

    /// <summary>Makes a disk image of zeroes and tells its path.</summary>
    internal string CreateDisk(string name, int sizeMiB)
    {
        string path = PathOf(name);
        using FileStream stream = File.Create(path);
        stream.SetLength((long)sizeMiB << 20);
        return path;
    }

    /// <summary>A log that a run has left.</summary>
    internal string ReadLog(string name)
    {
        string path = PathOf(name + ".log");
        Assert.True(File.Exists(path), $"the run left no {path}");
        return File.ReadAllText(path);
    }

    private static string ProjectRoot()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, Marker)))
            {
                return directory.FullName;
            }
        }

        throw new InvalidOperationException($"there is no {Marker} above {AppContext.BaseDirectory}");
    }
}
