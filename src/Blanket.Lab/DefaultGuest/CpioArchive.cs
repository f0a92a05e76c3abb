using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Blanket.Lab.DefaultGuest;

/// <summary>Writes an archive in cpio's new ASCII format, as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst).</summary>
public sealed class CpioArchive
{
    private const int DirectoryMode = 0x4000;
    private const int CharacterDeviceMode = 0x2000;
    private const int FileMode = 0x8000;
    private const int LinkMode = 0xA000;
    private const int Alignment = 4;

    private readonly MemoryStream _content = new();
    private int _inode;

    /// <summary>Adds a directory with mode 0755; its parent must have been added.</summary>
    public void AddDirectory(string path) => Add(path, DirectoryMode | Octal("755"), default, 0, 0);

    /// <summary>Adds a file.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content, bool executable = false) =>
        Add(path, FileMode | Octal(executable ? "755" : "644"), content, 0, 0);

    /// <summary>Adds a symbolic link.</summary>
    public void AddLink(string path, string target) => Add(path, LinkMode | Octal("777"), Encoding.UTF8.GetBytes(target), 0, 0);

    /// <summary>Adds a character device with mode 0600.</summary>
    public void AddCharacterDevice(string path, int major, int minor) => Add(path, CharacterDeviceMode | Octal("600"), default, major, minor);

    /// <summary>The archive, closed.</summary>
    public byte[] ToArray()
    {
        Add("TRAILER!!!", 0, default, 0, 0);
        return _content.ToArray();
    }

    private static int Octal(string digits) => Convert.ToInt32(digits, 8);

    private void Add(string path, int mode, ReadOnlySpan<byte> content, int major, int minor)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + "\0");
        int links = (mode & DirectoryMode) != 0 && (mode & FileMode) == 0 ? 2 : 1;
        int[] fields = [++_inode, mode, 0, 0, links, 0, content.Length, 0, 0, major, minor, name.Length, 0];
        StringBuilder header = new("070701");
        foreach (int field in fields)
        {
            header.Append(field.ToString("x8", CultureInfo.InvariantCulture));
        }

        _content.Write(Encoding.ASCII.GetBytes(header.ToString()));
        _content.Write(name);
        Pad();
        _content.Write(content);
        Pad();
    }

    private void Pad()
    {
        while (_content.Length % Alignment != 0)
        {
            _content.WriteByte(0);
        }
    }
}
