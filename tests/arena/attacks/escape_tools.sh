# attack: the tools that get out of weaker boxes
# verdict: ok failed forbidden-call
su root -c id && echo BREACH su
sudo -n id && echo BREACH sudo
mount -t proc proc /tmp && echo BREACH mount
unshare -Ur id && echo BREACH unshare
chroot / id && echo BREACH chroot
exit 0
